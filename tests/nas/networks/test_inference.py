"""A network made ready for inference says what it said before."""

import pytest
import torch
from torch import nn

from baselines.fixed_points import FIXED_POINTS
from cache.static.mobilenet_v2 import InvertedResidual
from cache.static.network import StaticNetwork
from nas.networks import strips
from nas.networks.heads import build_head
from nas.networks.inference import for_inference
from nas.networks.strips import InStrips
from nas.networks.video_network import VideoNetwork


def network(name):
    torch.manual_seed(0)
    static = StaticNetwork(3, auxiliary=False)
    return VideoNetwork(static, build_head(FIXED_POINTS[name], static.channels, 3, seed=0)).eval()


def kinds(made, kind):
    return sum(isinstance(module, kind) for module in made.modules())


@torch.no_grad()
def logits(made, images):
    first, state = made.first(images)
    return torch.stack([first, made.later(images, state)[0]])


@pytest.mark.parametrize("name", ["per_frame", "lean"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-4)], ids=str)
def test_logits_stay_what_they_are_in_strips_of_a_row_or_two(monkeypatch, name, dtype, tolerance):
    monkeypatch.setattr(strips, "LARGE", 0)
    monkeypatch.setattr(strips, "STRIP", 20_000)
    made, images = network(name).to(dtype), torch.randn(1, 3, 65, 50).to(dtype)
    whole = logits(made, images)
    assert (
        logits(for_inference(made, torch.device("cpu")), images) - whole
    ).abs().max() < tolerance * whole.abs().max()


def test_on_a_cpu_all_inverted_residuals_run_in_strips_and_elsewhere_none_does():
    made = network("lean")
    assert kinds(for_inference(made, torch.device("cpu")), InStrips) == kinds(made, InvertedResidual) == 17
    elsewhere = for_inference(made, torch.device("meta"))
    assert {parameter.device.type for parameter in elsewhere.parameters()} == {"meta"}
    assert kinds(elsewhere, InStrips) == kinds(elsewhere, nn.BatchNorm2d) == 0


def test_what_is_made_ready_is_a_copy():
    made = network("lean").train()
    before = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    ready = for_inference(made, torch.device("cpu"))
    assert all(torch.equal(tensor, before[name]) for name, tensor in made.state_dict().items())
    assert made.training
    assert kinds(made, InStrips) == 0
    assert not any(module.training for module in ready.modules())
