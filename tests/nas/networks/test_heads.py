import numpy as np
import pytest
import torch

from baselines.per_frame import PerFrame
from nas.networks.heads import build_head
from searchspace.genotype import Block, Genotype
from searchspace.modules.cell import DynamicCell
from searchspace.space import Space

CHANNELS = {"layer2": 32, "layer3": 96, "layer4": 320, "dec": 8}
CELLS = [
    Space.load(name, blocks=3).uniform(np.random.default_rng(seed)) for name in ("paper", "video") for seed in (0, 1)
]


def weights(head):
    return torch.cat([parameter.detach().flatten() for parameter in head.parameters()])


def test_a_genotype_gives_its_cell_and_none_the_per_frame_network():
    cell = build_head(CELLS[0], CHANNELS, 11, seed=0)
    assert isinstance(cell, DynamicCell)
    assert cell.genotype == CELLS[0].canonical()
    assert isinstance(build_head(None, CHANNELS, 11, seed=0), PerFrame)


@pytest.mark.parametrize("genotype", [None, *CELLS], ids=lambda genotype: genotype.key if genotype else "per frame")
def test_equal_seeds_give_equal_weights_and_leave_the_global_generator_alone(genotype):
    torch.manual_seed(7)
    state = torch.get_rng_state()
    one, two, other = (weights(build_head(genotype, CHANNELS, 3, seed)) for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_equal_cells_get_equal_weights_however_they_are_described():
    first, second = Space.load("paper", blocks=2).genotype((0, 1, 0, 4, 1, 2, 3, 5, 1, 5)).blocks
    swapped = Block(first.inputs[::-1], first.operations[::-1], first.aggregation)
    cells = [build_head(Genotype(blocks), CHANNELS, 3, seed=1) for blocks in ((first, second), (second, swapped))]
    assert torch.equal(*(weights(cell) for cell in cells))
