"""Folding changes the steps and not the function."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import searchspace.space
from baselines.fixed_points import FIXED_POINTS
from cache.static.network import StaticNetwork
from nas.networks.folding import fold_norms
from nas.networks.heads import build_head
from nas.networks.video_network import VideoNetwork
from searchspace.choices import Choice
from searchspace.genotype import Block, Genotype
from searchspace.space import Space

SPACES = sorted(path.stem for path in Path(searchspace.space.__file__).with_name("spaces").glob("*.yaml"))
SKIP = Choice("skip")
FUSIONS = [Choice("gated_fusion"), Choice("gated_fusion", (("light", True),))]
CELLS = [
    *(Genotype((Block(("cur.layer2", "past.dec"), (SKIP, SKIP), fusion),)) for fusion in FUSIONS),
    *(Space.load(name, blocks=3).uniform(np.random.default_rng(seed)) for name in SPACES for seed in range(2)),
]
CLIP = torch.randn(4, 1, 3, 33, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TOLERANCES = [(torch.float64, 1e-6), (torch.float32, 1e-4)]


def network(genotype):
    """A network whose norms have seen something: their statistics and weights are no longer those of the start."""
    torch.manual_seed(0)
    static = StaticNetwork(3, auxiliary=False)
    made = VideoNetwork(static, build_head(genotype, static.channels, 3, seed=0))
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.8, 1.25)
            nn.init.uniform_(module.weight, 0.8, 1.25)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    return made.eval()


@torch.no_grad()
def logits(made, clip):
    first, *later = clip
    out, state = made.first(first)
    outs = [out]
    for images in later:
        out, state = made.later(images, state)
        outs.append(out)
    return torch.stack(outs)


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES, ids=str)
@pytest.mark.parametrize("genotype", [None, *CELLS], ids=lambda genotype: genotype.key if genotype else "per frame")
def test_logits_stay_what_they_are(genotype, dtype, tolerance):
    made, clip = network(genotype).to(dtype), CLIP.to(dtype)
    whole = logits(made, clip)
    difference = (logits(fold_norms(made), clip) - whole).abs().max() / whole.abs().max().clamp(min=1)
    assert difference < tolerance


def test_no_norm_is_left_that_follows_a_convolution():
    def norms(module):
        return sum(isinstance(each, nn.BatchNorm2d) for each in module.modules())

    assert norms(fold_norms(network(None))) == 0
    left = {name: norms(fold_norms(network(cell))) for name, cell in FIXED_POINTS.items() if cell is not None}
    assert left == {
        "tmanet": 0,
        "tdnet": 0,
        "tmanet_t1": 0,
        "lmanet": 3,
        "lmanet_t1": 3,
        "lean": 0,
    }  # LMANet's gated fusion
    assert norms(fold_norms(network(CELLS[1]))) == 1  # the light one's, after its sum


def test_what_is_folded_is_a_copy_for_use_alone():
    made = network(FIXED_POINTS["tdnet"]).train()
    before = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    lean = fold_norms(made)
    assert all(torch.equal(tensor, before[name]) for name, tensor in made.state_dict().items())
    assert made.training
    assert all(parameter.requires_grad for parameter in made.parameters())
    assert not lean.training
    assert not any(parameter.requires_grad for parameter in lean.parameters())
    wide = [p for p in lean.parameters() if p.dim() == 4 and p.shape[1] > 1 and p.shape[2] > 1]
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in wide)


def test_the_per_frame_network_keeps_one_classifier():
    lean = fold_norms(network(None))
    assert lean.static.classifier is lean.head.classifier
