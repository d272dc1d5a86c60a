"""Checks on what video networks learn from."""

from dataclasses import replace
from itertools import product

import pytest
import torch

from cache.datasets import shapes
from cache.datasets.clips import VOID
from cache.datasets.shapes import Shapes
from cache.errors import DataError
from nas.training.augmentation import NOWHERE
from nas.training.video.data import VideoData

CPU = torch.device("cpu")
SIZE = (24, 32)


@pytest.fixture(autouse=True)
def _few(monkeypatch):
    for split in ("train", "val"):
        monkeypatch.setitem(shapes.CLIPS, split, 2)


class Sparse(Shapes):
    """Shapes of which only some frames have a label, or with a gap between frames."""

    def __init__(self, labelled=(), stride=1):
        super().__init__()
        self.labelled, self.stride = labelled, stride

    def frames(self, split):
        frames = super().frames(split)
        if split == "val":
            return frames
        return tuple(
            replace(
                frame, number=self.stride * frame.number, labelled=not self.labelled or frame.number in self.labelled
            )
            for frame in frames
        )

    def image(self, frame):
        return super().image(replace(frame, number=frame.number // self.stride))


def test_the_whole_training_list_is_cut_into_windows_and_the_validation_list_streamed():
    data = VideoData.of(Shapes(), SIZE, 3)
    assert data.windows == tuple((p, p + 1, p + 2) for p in [*range(8), *range(10, 18)])
    assert data.clips == (range(10), range(10, 20))
    windows = data.read(torch.tensor(data.windows[:2]), CPU)
    assert (windows.images.shape, windows.labels.shape) == ((3, 2, 3, *SIZE), (3, 2, *SIZE))
    assert windows.flows is None


def test_a_list_without_a_labelled_second_frame_is_refused():
    with pytest.raises(DataError, match="the training list of shapes has no window: no labelled frame"):
        VideoData.of(Sparse(labelled=(0,)), SIZE, 3)


def test_fewer_labels_are_those_at_every_so_many_places_of_a_recording():
    data = VideoData.of(Shapes(), SIZE, 5, label_every=5)
    whole = VideoData.of(Shapes(), SIZE, 5)
    assert data.windows == whole.windows
    positions = torch.tensor(data.windows)
    labels, all_labels = data.read(positions, CPU).labels, whole.read(positions, CPU).labels
    known = positions.T % 5 == 4  # clips have ten frames
    assert (labels[~known] == VOID).all()
    assert torch.equal(labels[known], all_labels[known])


def test_a_frame_of_windows_is_labelled_if_it_has_a_label_in_any_of_them():
    data = VideoData.of(Shapes(), SIZE, 3, label_every=5)  # labels at 4 and 9, 14 and 19
    assert data.read(torch.tensor([(2, 3, 4), (7, 8, 9)]), CPU).labelled == (False, False, True)
    assert data.read(torch.tensor([(2, 3, 4), (3, 4, 5), (5, 6, 7)]), CPU).labelled == (False, True, True)


def test_flows_go_from_each_frame_to_the_one_before_and_nowhere_between_clips(tmp_path):
    dataset = Shapes()
    data = VideoData.of(dataset, dataset.size, 3, tmp_path)
    positions = torch.tensor([[3, 4, 5], [8, 9, 10]])
    flows = data.read(positions, CPU).flows
    assert flows.shape == (2, 2, 2, *dataset.size)
    frames = dataset.frames("train")
    for (time, window), place in {(0, 0): 4, (1, 0): 5, (0, 1): 9}.items():
        exact = torch.from_numpy(dataset.flow(frames[place], -1)).permute(2, 0, 1)
        assert torch.equal(flows[time, window], exact)
    assert (flows[1, 1] == NOWHERE).all()  # 9 and 10 are of two clips


def test_checked_flows_lead_nowhere_from_surfaces_that_were_hidden(tmp_path):
    dataset = Shapes()
    data = VideoData.of(dataset, dataset.size, 2, tmp_path, checked=True)
    [[flow]] = data.read(torch.tensor([[4, 5]]), CPU).flows
    before, now = (dataset._clip(dataset.frames("train")[0]).layers[t] for t in (4, 5))
    exact, hidden = dataset.flow(dataset.frames("train")[5], -1), 0
    for y, x in product(*map(range, dataset.size)):
        dx, dy = exact[y, x].astype(int)
        inside = 0 <= y + dy < dataset.size[0] and 0 <= x + dx < dataset.size[1]
        if inside and before[y + dy, x + dx] != now[y, x]:
            hidden += 1
            assert (flow[:, y, x] == NOWHERE).all()
        elif inside:
            assert flow[:, y, x].tolist() == [dx, dy]
    assert hidden > 50


def test_flow_between_frames_that_are_far_apart_is_refused(tmp_path):
    with pytest.raises(DataError, match="optical flow between them means nothing"):
        VideoData.of(Sparse(stride=30), SIZE, 3, tmp_path)
