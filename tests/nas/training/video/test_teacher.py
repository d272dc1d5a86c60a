"""Checks on imitation in retraining: against a loop, without labels, at several rates, beside ETC's temporal loss."""

import copy
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch

from baselines.etc_distillation import Outputs, temporal_term
from baselines.fixed_points import FIXED_POINTS
from cache.datasets import shapes
from cache.datasets.clips import VOID
from cache.datasets.shapes import Shapes
from cache.static.network import StaticNetwork
from nas.networks.heads import head_on
from nas.networks.video_network import VideoNetwork, on_every_frame
from nas.settings.compute import Compute
from nas.settings.errors import RunError
from nas.settings.retrain_config import EtcConfig, RecipeConfig
from nas.training.video.data import VideoData
from nas.training.video.etc_loss import temporal_terms
from nas.training.video.inputs import warn_of_width
from nas.training.video.retraining import Retraining
from nas.training.video.teacher import Teacher, imitation
from searchspace.choices import Choice
from searchspace.genotype import Block, Genotype

CPU = Compute(torch.device("cpu"), None)
SIZE = (24, 32)
CELL = Genotype((Block(("past.dec", "cur.layer2"), (Choice("skip"), Choice("skip")), Choice("concat")),))
META = {"name": "some", "dataset": "shapes", "classes": Shapes.classes, "colours": Shapes.colours, "size": SIZE}
IMITATES = RecipeConfig(head_epochs=1, epochs=1, batch=4, dec_weight=1.0, logit_weight=1.0, label_weight=0.0)


class Filmed(Shapes):
    """Shapes whose training clips have no label but one."""

    def frames(self, split):
        frames = super().frames(split)
        return frames if split == "val" else tuple(replace(f, labelled=f.number == 9) for f in frames)


@pytest.fixture(autouse=True)
def _few(monkeypatch):
    for split in ("train", "val"):
        monkeypatch.setitem(shapes.CLIPS, split, 1)


def static():
    torch.manual_seed(0)
    network = StaticNetwork(len(Shapes.classes), auxiliary=False)
    for _ in range(20):  # so that its statistics fit its activations, which else fade away
        network(torch.randn(4, 3, *SIZE))
    return network


def student(cell=CELL):
    network = static()
    return VideoNetwork(network, head_on(network, cell, seed=0))


def made_up(channels=5, frames=3):
    return Outputs(*([torch.randn(2, c, 2, 3) for _ in range(frames)] for c in (4, channels)))


def retraining(data, recipe, etc=None, cell=CELL):
    teacher = Teacher(on_every_frame(static().eval()), CPU)
    return Retraining(recipe, student(cell), data, CPU, 0, etc=etc, teacher=teacher)


def count_encoded(monkeypatch):
    """Note of every run of the encoder's first layer how many frames it is given."""
    frames, forward = [], torch.nn.Conv2d.forward

    def noted(conv, images):
        if conv.in_channels == 3:
            frames.append(len(images))
        return forward(conv, images)

    monkeypatch.setattr(torch.nn.Conv2d, "forward", noted)
    return frames


@pytest.mark.parametrize("start", [0, 1, 2])
def test_imitation_is_the_sum_of_a_loop_over_frames(start):
    seen, known = made_up(), made_up()
    expected = 0.0
    for time in range(start, 3):
        p, q = known.logits[time].softmax(1), seen.logits[time].softmax(1)
        expected += 0.5 * (p * (p / q).log()).sum(1).mean()
        distance = (seen.features[time] - known.features[time]).square().sum()
        expected += 2.0 * distance / known.features[time].square().sum()
    recipe = RecipeConfig(logit_weight=0.5, dec_weight=2.0)
    torch.testing.assert_close(imitation(recipe, seen, known, start), expected)


def test_a_teacher_of_another_width_teaches_its_probabilities_alone():
    recipe, seen, known = RecipeConfig(logit_weight=0.5, dec_weight=2.0), made_up(), made_up(channels=7)
    assert torch.equal(imitation(recipe, seen, known, 1), imitation(replace(recipe, dec_weight=0.0), seen, known, 1))


def test_a_weight_that_counts_for_nothing_is_said(caplog):
    wide, narrow = static(), SimpleNamespace(static=SimpleNamespace(channels={"dec": 32}))
    warn_of_width(on_every_frame(wide), wide, RecipeConfig(dec_weight=2.0))
    warn_of_width(narrow, wide, RecipeConfig(dec_weight=0.0))
    assert caplog.text == ""
    warn_of_width(narrow, wide, RecipeConfig(dec_weight=2.0, logit_weight=0.5))
    assert "--dec-weight 2 counts for nothing" in caplog.text
    assert "has 32 channels and the network's 64" in caplog.text


def test_the_static_network_is_its_own_teacher_on_every_frame():
    network, images = static().eval(), torch.randn(3, 2, 3, *SIZE)
    known = Teacher(on_every_frame(network), CPU)(images)
    for time in range(3):
        torch.testing.assert_close(known.logits[time], network(images[time]))
        torch.testing.assert_close(known.features[time], network.features(images[time])["dec"])


def test_frames_without_labels_teach_a_cell_the_teacher_stays_and_the_loss_falls(tmp_path):
    data = VideoData.of(Filmed(), SIZE, 3, unlabelled=True)
    assert len(data.windows) == 8
    assert len(VideoData.of(Filmed(), SIZE, 3).windows) == 1
    made = retraining(data, IMITATES)
    before = copy.deepcopy(made._teacher._network.state_dict())
    windows = data.read(torch.tensor(data.windows[:4]), CPU.device)
    assert (windows.labels == VOID).all()
    first = made._loss(False, windows)
    made.run(tmp_path, META)
    assert made._loss(False, windows) < first
    assert all(torch.equal(value, before[name]) for name, value in made._teacher._network.state_dict().items())


@pytest.mark.parametrize("cell", [CELL, FIXED_POINTS["tdnet"], None], ids=["cell", "tdnet", "per_frame"])
def test_while_student_and_teacher_have_one_encoder_it_runs_once_and_teaches_the_same(cell, monkeypatch):
    data = VideoData.of(Shapes(), SIZE, 3)
    windows = data.read(torch.tensor(data.windows[:2]), CPU.device)
    made = retraining(data, replace(IMITATES, label_weight=1.0), cell=cell)
    made._network.eval()
    encoded = count_encoded(monkeypatch)
    shared, once = made._loss(False, windows), sum(encoded)
    made._shares = False
    apart, twice = made._loss(False, windows), sum(encoded) - once
    torch.testing.assert_close(shared, apart)
    assert once == 3 * 2 < twice  # three frames of two windows
    shared.backward()
    assert all(weight.grad is None for weight in made._network.static.encoder.parameters())
    made._shares = True
    assert made._loss(True, windows) is not None
    assert sum(encoded) > 2 * once + twice  # each by its own, once the student's may differ


def test_a_student_of_another_static_network_shares_nothing():
    teacher, other = Teacher(on_every_frame(static().eval()), CPU), static()
    assert teacher.shares(static())
    next(other.encoder.parameters()).data[0] += 1e-3
    assert not teacher.shares(other)


def test_windows_at_several_rates_train_together():
    data = VideoData.of(Shapes(), SIZE, 3, gaps=(1, 4))
    steps = [{b - a for a, b in pairwise(window)} for window in data.windows]
    assert steps.count({1}) == 8
    assert steps.count({4}) == 2


def test_the_temporal_loss_counts_on_unlabelled_frames_beside_imitation(tmp_path):
    data = VideoData.of(Filmed(), SIZE, 3, tmp_path, unlabelled=True)
    windows = data.read(torch.tensor(data.windows[:2]), CPU.device)
    assert (windows.labels == VOID).all()

    def loss(etc):
        made = retraining(data, IMITATES, etc)
        made._network.eval()
        return made._loss(False, windows).detach()

    steady = 0.5 * temporal_term(Teacher(student(), CPU)(windows.images).logits, windows.images, windows.flows)
    assert steady > 0
    both = loss(temporal_terms(EtcConfig(temporal_loss=0.5), CPU, seed=0))
    torch.testing.assert_close(both - loss(None), steady)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"dec_weight": -1.0}, "must not be negative"),
        ({"label_weight": 0.0}, "nothing else trains the classifier"),
    ],
)
def test_weights_that_cannot_be_are_refused(weights, message):
    with pytest.raises(RunError, match=message):
        RecipeConfig(**weights)
