"""Checks on ETC's losses in a retraining: each weight is of its own term, and the teacher stays as it is."""

import copy
from pathlib import Path

import pytest
import torch

from baselines.etc_distillation import temporal_term
from baselines.fixed_points import FIXED_POINTS
from cache.datasets import shapes
from cache.datasets.shapes import Shapes
from cache.static.network import StaticNetwork
from nas.networks.heads import build_head
from nas.networks.video_network import VideoNetwork
from nas.settings.compute import Compute
from nas.settings.retrain_config import EtcConfig, RecipeConfig
from nas.training.video.data import VideoData
from nas.training.video.etc_loss import temporal_terms
from nas.training.video.retraining import Retraining
from nas.training.video.teacher import Teacher
from nas.training.video.windows import outputs

CPU = Compute(torch.device("cpu"), None)
SIZE = (24, 32)
META = {"name": "some", "dataset": "shapes", "classes": Shapes.classes, "colours": Shapes.colours, "size": SIZE}
TAUGHT = {"distill_from": Path("teacher.pt")}
ALL = EtcConfig(**TAUGHT, temporal_loss=0.1)


def network(name="per_frame", seed=0):
    torch.manual_seed(seed)
    static = StaticNetwork(len(Shapes.classes), auxiliary=False)
    for _ in range(20):  # so that its statistics fit its activations, which else fade away
        static(torch.randn(4, 3, *SIZE))
    return VideoNetwork(static, build_head(FIXED_POINTS[name], static.channels, static.classes, seed)).eval()


@pytest.fixture
def data(monkeypatch, tmp_path):
    for split in ("train", "val"):
        monkeypatch.setitem(shapes.CLIPS, split, 1)
    return VideoData.of(Shapes(), SIZE, 3, tmp_path / "flow")


@pytest.fixture
def windows(data):
    return data.read(torch.tensor(data.windows[:2]), CPU.device)


@pytest.mark.parametrize("name", ["per_frame", "tmanet_t1"])
def test_without_a_teacher_there_is_the_temporal_loss_alone(windows, name):
    seen = outputs(network(name), windows.images, static_learns=True)
    loss = temporal_terms(EtcConfig(temporal_loss=0.7), CPU, seed=0)(seen, windows.images, windows.flows)
    torch.testing.assert_close(loss, 0.7 * temporal_term(seen.logits, windows.images, windows.flows))


@pytest.mark.parametrize("term", ["single_frame", "pair_frame", "multi_frame"])
def test_each_weight_is_of_its_own_term(windows, term):
    seen, nothing = (
        outputs(network(), windows.images, True),
        dict.fromkeys(("single_frame", "pair_frame", "multi_frame"), 0.0),
    )
    known = Teacher(network(seed=1), CPU)(windows.images)

    def loss(**weights):
        return temporal_terms(EtcConfig(**TAUGHT | nothing | weights), CPU, 0)(
            seen, windows.images, windows.flows, known
        )

    assert loss(**{term: 0.1}) != 0
    torch.testing.assert_close(loss(**{term: 0.2}), 2 * loss(**{term: 0.1}))
    assert loss() == 0


def test_a_network_that_is_its_own_teacher_has_nothing_to_learn_of_frames_and_pairs(windows):
    seen = outputs(network(), windows.images, True)
    known = Teacher(network(), CPU)(windows.images)
    loss = temporal_terms(EtcConfig(**TAUGHT, multi_frame=0.0), CPU, 0)(seen, windows.images, windows.flows, known)
    assert abs(loss.item()) < 1e-5


def test_a_training_with_all_terms_learns_them_leaves_the_teacher_and_resumes_bit_for_bit(data, tmp_path, monkeypatch):
    def train(folder):
        teacher = network("tmanet_t1", seed=1)
        etc = temporal_terms(ALL, CPU, seed=0)
        before, gates = copy.deepcopy(teacher.state_dict()), etc.multi_frame.gates.weight.clone()
        recipe = RecipeConfig(head_epochs=1, epochs=1, batch=4)
        student = network("tmanet_t1")
        Retraining(recipe, student, data, CPU, seed=0, etc=etc, teacher=Teacher(teacher, CPU)).run(folder, META)
        assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
        assert not torch.equal(etc.multi_frame.gates.weight, gates)
        return student.state_dict()

    straight, read = train(tmp_path / "straight"), data.train.windows
    readings = iter([read, read, read])  # of four: it stops in the second phase
    with monkeypatch.context() as patch:
        patch.setattr(data.train, "windows", lambda *arguments: next(readings)(*arguments))
        with pytest.raises(RuntimeError, match="StopIteration"):
            train(tmp_path / "resumed")
    assert (tmp_path / "resumed" / "curve.csv").exists()
    resumed = train(tmp_path / "resumed")
    assert all(torch.equal(value, resumed[name]) for name, value in straight.items())
