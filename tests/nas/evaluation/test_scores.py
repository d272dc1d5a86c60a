"""Scores of video networks against loops written by hand and scikit-learn's confusion matrix."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix

from baselines.fixed_points import FIXED_POINTS
from cache.datasets.camvid import CamVid
from cache.datasets.shapes import Shapes
from cache.errors import DataError
from cache.images import scaled_size
from cache.static.network import StaticNetwork
from nas.evaluation.data import EvaluationData, squashed
from nas.evaluation.scores import evaluate, labels_consistency
from nas.evaluation.temporal_consistency import TemporalConsistency
from nas.networks.heads import build_head
from nas.networks.video_network import VideoNetwork
from nas.settings.compute import Compute

CPU = Compute(torch.device("cpu"), None)
SIZE = (48, 64)
CLASSES = len(Shapes.classes)


class FewShapes(Shapes):
    """Two clips of `length` frames, `gap` frames apart, of which those of `labelled` have a label."""

    def __init__(self, length=5, labelled=(0, 1, 2, 3, 4), gap=1):
        super().__init__()
        self._length, self._labelled, self._gap = length, labelled, gap

    def frames(self, split):
        clips = [super(FewShapes, self).frames(split)[start : start + self._length] for start in (0, 10)]
        frames = [replace(frame, labelled=frame.number in self._labelled) for clip in clips for frame in clip]
        return tuple(replace(frame, number=frame.number * self._gap) for frame in frames)

    def image(self, frame):
        return super().image(replace(frame, number=frame.number // self._gap))

    def label(self, frame):
        return super().label(replace(frame, number=frame.number // self._gap))


@pytest.mark.parametrize("scale", [0.05, 0.11, 1 / 3, 0.5, 1.0, 1.7])
def test_a_size_that_is_only_rounded_is_not_squashed(scale):
    assert not squashed((360, 480), scaled_size((360, 480), scale))
    assert not squashed((1024, 2048), scaled_size((1024, 2048), scale))


def test_frames_of_another_aspect_ratio_are_scored_with_a_warning(tmp_path, caplog):
    EvaluationData.of(FewShapes(), "val", (48, 96), 3, tmp_path)
    assert "frames of 96x128 are scored at 48x96, another aspect ratio" in caplog.text
    caplog.clear()
    EvaluationData.of(FewShapes(), "val", SIZE, 3, tmp_path)
    assert "aspect ratio" not in caplog.text


class Unseen(FewShapes):
    """Shapes whose masks are void everywhere."""

    def label(self, frame):
        return np.full_like(super().label(frame), 255)


def test_there_is_no_score_where_no_pixel_is_labelled(tmp_path):
    data = EvaluationData.of(Unseen(), "val", SIZE, 3, tmp_path)
    found = evaluate(network("per_frame"), data, CPU)
    assert found.scores().keys() == {"tc", "tc_unmasked", "tc_etc"}
    assert found.class_shares() == [0] * CLASSES
    assert np.isnan(found.class_iou()).all()


def network(name, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        static = StaticNetwork(CLASSES)
        return VideoNetwork(static, build_head(FIXED_POINTS[name], static.channels, CLASSES, seed)).eval()


@pytest.fixture
def data(tmp_path):
    return EvaluationData.of(FewShapes(), "val", SIZE, 3, tmp_path)


@torch.no_grad()
def clip_by_hand(network, data, positions):
    """Predictions of the frames of one clip, int64 (T, H, W), and its labels."""
    images, labels = data.frames.batch(positions, CPU.device)
    logits, state = network.first(images[:1])
    every = [logits]
    for image in images[1:]:
        logits, state = network.later(image[None], state)
        every.append(logits)
    return torch.nn.Upsample(SIZE, mode="bilinear")(torch.cat(every)).argmax(1), labels


def counted(labels, pred):
    known = labels != 255
    return confusion_matrix(labels[known], pred[known], labels=range(CLASSES)).tolist()


@pytest.mark.parametrize("name", ["per_frame", "tdnet", "lmanet"])
def test_streamed_and_windowed_scores_are_those_of_a_loop_by_hand(name, data):
    made = network(name)
    found = evaluate(made, data, CPU, shown=(3, 7))
    clips = [clip_by_hand(made, data, range(start, start + 5)) for start in (0, 5)]
    pred, labels = (np.stack(part) for part in zip(*clips, strict=True))
    assert found.later.counts.tolist() == counted(labels[:, 1:], pred[:, 1:])
    assert found.first.counts.tolist() == counted(labels[:, 0], pred[:, 0])
    assert {place: shown.tolist() for place, shown in found.shown.items()} == {
        3: pred[0, 3].tolist(),
        7: pred[1, 2].tolist(),
    }
    windows = [clip_by_hand(made, data, range(start, start + 3)) for start in (0, 1, 2, 5, 6, 7)]
    pred, labels = (np.stack([part[-1] for part in parts]) for parts in zip(*windows, strict=True))
    assert found.windowed.counts.tolist() == counted(labels, pred)


def test_frames_without_a_past_are_in_no_other_score(data):
    found = evaluate(network("tdnet"), data, CPU)
    scores = found.scores()
    assert scores["miou"] == found.later.miou()
    assert scores["first_miou"] == found.first.miou()
    assert scores["windowed_fwiou"] == found.windowed.fwiou()
    assert [int(matrix.counts.sum()) for matrix in (found.later, found.first, found.windowed)] == [
        frames * SIZE[0] * SIZE[1] for frames in (8, 2, 6)
    ]


def test_temporal_consistency_goes_over_all_neighbours_of_one_run(data):
    made, expected = network("tdnet"), TemporalConsistency(CLASSES)
    for start in (0, 5):
        pred, _ = clip_by_hand(made, data, range(start, start + 5))
        for place in range(4):
            there, back = (start + place, start + place + 1), (start + place + 1, start + place)
            flows = data.flows.batch([there]), data.flows.batch([back])
            expected.update(pred[place][None], pred[place + 1][None], *flows)
    assert evaluate(made, data, CPU).consistency == expected.scores()


def test_exact_flow_leaves_the_labels_nearly_perfectly_consistent(tmp_path):
    native = EvaluationData.of(FewShapes(), "val", Shapes.size, 3, tmp_path)
    scores = labels_consistency(native)
    assert scores["tc"] > 0.99
    assert scores["tc_unmasked"] < scores["tc"]


def test_frames_far_apart_have_no_temporal_consistency(tmp_path):
    data = EvaluationData.of(FewShapes(gap=30), "val", SIZE, 3, tmp_path)
    scores = evaluate(network("per_frame"), data, CPU).scores()
    assert "miou" in scores
    assert not {"tc", "tc_unmasked", "tc_etc"} & scores.keys()
    assert labels_consistency(data) == {}
    assert list(tmp_path.iterdir()) == []


def test_unlabelled_frames_fill_the_memory_and_what_follows_the_last_label_is_not_run(tmp_path):
    data = EvaluationData.of(FewShapes(labelled=(2, 3)), "val", SIZE, 3, tmp_path)
    assert data.clips == (range(4), range(5, 9))
    assert data.scored == (2, 3, 7, 8)
    assert data.windows == ((0, 1, 2), (1, 2, 3), (5, 6, 7), (6, 7, 8))
    found = evaluate(network("tdnet"), data, CPU)
    assert not found.first.counts.any()
    assert not {name for name in found.scores() if name.startswith("first_")}


def test_labels_that_have_no_labelled_neighbour_have_no_consistency(tmp_path):
    data = EvaluationData.of(FewShapes(labelled=(3,)), "val", SIZE, 3, tmp_path)
    assert labels_consistency(data) == {}
    assert "tc" in evaluate(network("per_frame"), data, CPU).scores()


@pytest.mark.parametrize(
    ("count", "expected"), [(1, [6]), (2, [3, 8]), (4, [2, 4, 7, 9]), (99, [1, 2, 3, 4, 6, 7, 8, 9])]
)
def test_examples_are_spread_over_the_scored_frames(data, count, expected):
    assert data.examples(count) == expected


def test_a_class_without_labels_has_no_iou_of_its_own(data):
    found = evaluate(network("per_frame"), data, CPU)
    found.later.counts[2] = 0
    found.later.counts[0, 2] += 1  # predicted, never labelled
    assert np.isnan(found.class_iou()).tolist() == [place == 2 for place in range(CLASSES)]
    assert found.class_shares()[2] == 0
    assert sum(found.class_shares()) == pytest.approx(1)


@pytest.mark.parametrize("few", [{"length": 1}, {"labelled": ()}, {"labelled": (0,)}], ids=str)
def test_a_list_in_which_nothing_has_a_past_is_refused(tmp_path, few):
    with pytest.raises(DataError, match=r"the val list of shapes has no two consecutive frames .* give longer clips"):
        EvaluationData.of(FewShapes(**few), "val", SIZE, 3, tmp_path)


def test_a_split_that_is_not_there_is_named(tmp_path):
    (tmp_path / "val").mkdir()
    with pytest.raises(DataError, match=r"CamVid has no test split: .*test is missing"):
        EvaluationData.of(CamVid(tmp_path), "test", SIZE, 3, tmp_path)
