"""Cells are counted before they are built as they are counted when they are."""

from pathlib import Path

import numpy as np
import pytest

import searchspace.space
from cache.static.network import StaticNetwork
from nas.evaluation.counted_cells import CountedCells
from nas.evaluation.network_cost import count_costs
from nas.networks.heads import build_head
from nas.networks.video_network import VideoNetwork
from searchspace.space import Space

SPACES = sorted(path.stem for path in Path(searchspace.space.__file__).with_name("spaces").glob("*.yaml"))
STATIC = StaticNetwork(3, auxiliary=False)


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("refresh", [0, 3])
def test_a_cell_costs_what_the_whole_network_is_counted_to_cost(name, refresh):
    space, size = Space.load(name), (48, 70)
    counted = CountedCells(STATIC, size, halved=True, refresh=refresh)
    for seed in range(3):
        cell = space.uniform(np.random.default_rng(seed))
        network = VideoNetwork(STATIC, build_head(cell, STATIC.channels, STATIC.classes, 0), refresh)
        assert counted.relative_macs(cell) == count_costs(network, size, refresh)["relative_macs"]
