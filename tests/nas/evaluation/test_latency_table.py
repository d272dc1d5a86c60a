"""What a cell costs in time is the sum of parts that were timed alone: the right parts, and the right sum."""

import copy
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import searchspace.space
from baselines.fixed_points import FIXED_POINTS
from cache.static.network import StaticNetwork
from nas.evaluation import latency_table, network_cost
from nas.evaluation.head_cost import multiply_adds
from nas.evaluation.latency import Latency
from nas.evaluation.latency_parts import Part, parts_of, parts_of_space, runner
from nas.evaluation.latency_table import LatencyTable, grids_of, measure_table
from nas.evaluation.network_cost import count_costs
from nas.networks.heads import build_head
from nas.networks.video_network import VideoNetwork
from nas.settings.compute import Compute
from nas.settings.errors import RunError
from searchspace.choices import Choice
from searchspace.genotype import Block, Genotype
from searchspace.space import Space

SPACES = sorted(path.stem for path in Path(searchspace.space.__file__).with_name("spaces").glob("*.yaml"))
CPU = Compute(torch.device("cpu"), None)
SIZE = (33, 50)
STATIC = StaticNetwork(3, auxiliary=False).eval()
GRIDS = grids_of(STATIC, SIZE, halved=True)
SKIP, POOL, CONCAT = Choice("skip"), Choice("global_pool"), Choice("concat")
ATTENTION = Choice("memory_attention", (("slots", 4),))


def head(genotype):
    return build_head(genotype, STATIC.channels, STATIC.classes, seed=0)


def cells(space):
    return [space.uniform(np.random.default_rng(seed)) for seed in range(2)]


def test_sizes_of_features_round_up_and_those_of_halved_frames_are_of_half_the_frame():
    fine, middle, coarse = (5, 7), (3, 4), (2, 2)
    whole = {"layer2": fine, "layer3": middle, "layer4": coarse, "dec": fine}
    assert grids_of(STATIC, SIZE, halved=False) == whole
    assert whole | {"low.layer2": (3, 4), "low.layer3": (2, 2), "low.layer4": (1, 1)} == GRIDS


def test_the_parts_of_a_cell_written_out():
    cell = Genotype(
        (
            Block(("low.layer4", "past.dec"), (POOL, SKIP), ATTENTION),
            Block(("past.layer4", "low.layer4"), (SKIP, SKIP), CONCAT),
        )
    )
    found = sorted(map(str, parts_of(cell, GRIDS)))
    assert found == sorted(
        [
            *("encoder layer4", "encoder low.layer4"),  # the next frame's past.layer4, and the halved frame
            *("adapter low.layer4 1x1", "adapter layer4 2x2"),
            *("operation global_pool 1x1", "operation skip 5x7", "operation skip 2x2", "operation skip 1x1"),
            *("aggregation memory_attention(slots=4) 1x1, 5x7", "aggregation concat 1x1, 2x2"),
            *("end 1x1, 5x7", "end 2x2, 5x7", "reduce 5x7, 5x7", "classifier 5x7"),
        ]
    )


@pytest.mark.parametrize("name", SPACES)
def test_the_parts_of_a_cell_do_the_multiply_adds_of_its_whole_later_frame(name):
    static, image = copy.deepcopy(STATIC).to("meta"), torch.empty(1, 3, *SIZE, device="meta")
    for cell in cells(Space.load(name)):
        made = VideoNetwork(STATIC, head(cell))
        with torch.no_grad():
            runs = [runner(part, static, image) for part in parts_of(cell, GRIDS)]
            counted = multiply_adds(lambda runs=runs: [run() for run in runs])
        assert counted == count_costs(made, SIZE)["macs_later"]


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("size", [SIZE, (64, 64), (45, 60)], ids=str)
def test_every_part_of_every_cell_is_a_part_of_its_space(name, size):
    space, grids = Space.load(name), grids_of(STATIC, size, halved=True)
    known = set(parts_of_space(space, grids))
    assert all(known.issuperset(parts_of(cell, grids)) for cell in cells(space))


def test_a_later_frame_costs_the_sum_of_its_parts_and_a_clip_its_key_frame_too():
    cell = Genotype((Block(("cur.layer2", "cur.layer2"), (POOL, POOL), CONCAT),))
    times = {
        **{"encoder layer2": 0.25, "adapter layer2 5x7": 1 / 64, "operation global_pool 5x7": 1 / 32},
        **{
            "aggregation concat 5x7, 5x7": 1 / 16,
            "end 5x7, 5x7": 0.0,
            "reduce 5x7": 1 / 128,
            "classifier 5x7": 1 / 128,
        },
    }
    table = LatencyTable(GRIDS, times)
    later = 0.25 + 1 / 64 + 2 / 32 + 1 / 16 + 2 / 128
    assert table.costs(cell, refresh=0) == {"relative_latency": later, "relative_latency_later": later}
    assert table.costs(cell, refresh=5)["relative_latency"] == pytest.approx((1 + 4 * later) / 5)
    assert table.costs(None, refresh=5) == {"relative_latency": 1, "relative_latency_later": 1}


def test_a_cell_with_a_part_that_was_not_measured_is_refused():
    with pytest.raises(RunError, match="no encoder layer4: the cell is not of the space that was measured"):
        LatencyTable(GRIDS, {}).costs(FIXED_POINTS["tmanet"], refresh=0)


def test_a_part_is_timed_in_turns_with_the_per_frame_network(monkeypatch, caplog):
    seconds = itertools.cycle([4.0, 1.0, 3.0, 4.0, 1.0, 3.0, 8.0, 2.0, 6.0])  # the machine was slow in some rounds
    monkeypatch.setattr(network_cost, "measure", lambda *_, **__: Latency(next(seconds), 0, 0))
    first, second = Part("encoder", "layer2"), Part("classifier", grids=((5, 7),))
    table = measure_table([first, second, first], GRIDS, STATIC, SIZE, CPU)
    assert table == LatencyTable(GRIDS, {str(first): 0.25, str(second): 0.75})
    assert "the machine was busy while latencies were measured: a frame took from 4000 to 8000 ms" in caplog.text


def test_every_part_of_the_fast_space_can_be_timed(monkeypatch):
    monkeypatch.setattr(latency_table, "REPEATS", 1)
    parts = list(parts_of_space(Space.load("fast"), GRIDS))
    table = measure_table(parts, GRIDS, STATIC, SIZE, CPU)
    assert set(table.times) == set(map(str, parts))
    assert all(0 < time < 100 for time in table.times.values())


def test_a_table_survives_being_written_and_its_fingerprint_tells_it_from_others():
    table = LatencyTable(GRIDS, {"encoder layer2": 0.1, "classifier 5x7": 1 / 3})
    again = LatencyTable.from_plain(yaml.safe_load(yaml.safe_dump(table.to_plain())))
    assert again == table
    assert again.fingerprint == table.fingerprint
    assert LatencyTable(GRIDS, {**table.times, "classifier 5x7": 0.3}).fingerprint != table.fingerprint
