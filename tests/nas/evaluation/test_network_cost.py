import itertools

import numpy as np
import pytest
import torch

from baselines.fixed_points import FIXED_POINTS
from cache.static.network import StaticNetwork, deepest
from nas.evaluation import network_cost
from nas.evaluation.head_cost import complexity
from nas.evaluation.latency import Latency
from nas.evaluation.network_cost import Timing, costs_at, count_costs, measure_costs, over_clip
from nas.networks.heads import build_head
from nas.networks.video_network import VideoNetwork
from nas.settings.compute import Compute
from searchspace.choices import Choice
from searchspace.genotype import Block, Genotype

CPU = Compute(torch.device("cpu"), None)
SIZE = (33, 50)
ENCODED = {"layer2": (32, 5, 7), "layer3": (96, 3, 4), "layer4": (320, 2, 2), "dec": (64, 5, 7)}


def network(name):
    static = StaticNetwork(4, auxiliary=False)
    return VideoNetwork(static, build_head(FIXED_POINTS[name], static.channels, 4, seed=0)).eval()


@pytest.mark.parametrize("name", ["per_frame", "tmanet", "tdnet"])
def test_a_later_frame_is_the_encoder_that_the_head_needs_and_what_the_search_counts_for_the_head(name):
    made = network(name)
    with torch.utils.flop_counter.FlopCounterMode(display=False) as encoder, torch.no_grad():
        made.static.encoder(torch.zeros(1, 3, *SIZE), deepest(made.head.needs))
    head = complexity(made.head, ENCODED, made.static.decoder)
    found = count_costs(made, SIZE)
    assert found["macs_later"] == encoder.get_total_flops() // 2 + head["macs"]
    assert found["state_bytes"] == head["state_bytes"]
    assert found["parameters"] == sum({id(p): p.numel() for p in made.parameters()}.values())
    assert {p.device.type for p in made.parameters()} == {"cpu"}


def test_the_first_frame_is_the_static_networks_and_nothing_is_remembered_without_a_cell():
    found = count_costs(network("per_frame"), SIZE)
    assert found["macs_first"] == found["macs_later"] == count_costs(network("tdnet"), SIZE)["macs_first"]
    assert found["state_bytes"] == 0


def test_a_clip_costs_its_key_frame_and_later_frames_over_the_per_frame_networks():
    assert [over_clip(6.0, 2.0, clip) for clip in (0, 2, 4)] == [2, 4, 3]
    found = count_costs(network("tdnet"), SIZE, clip=10)
    first, later = found["macs_first"], found["macs_later"]
    assert found["relative_macs_later"] == later / first
    assert found["relative_macs"] == pytest.approx(0.1 + 0.9 * later / first)
    assert count_costs(network("tdnet"), SIZE)["relative_macs"] == later / first
    refreshed = network("tdnet")
    refreshed.refresh = 10
    assert count_costs(refreshed, SIZE) == found


@pytest.mark.parametrize("clip", [0, 2, 7])
def test_the_per_frame_network_costs_exactly_1(clip):
    found = count_costs(network("per_frame"), SIZE, clip)
    assert found["relative_macs"] == found["relative_macs_later"] == 1


def test_a_lean_cell_costs_what_a_count_by_hand_says():
    skip = Choice("skip")
    lean = Genotype((Block(("cur.layer2", "past.dec"), (skip, skip), Choice("concat")),))
    static = StaticNetwork(4, auxiliary=False)
    found = count_costs(VideoNetwork(static, build_head(lean, static.channels, 4, seed=0)), (64, 64))
    bottleneck = {
        16: [(32, 16, 1, 1)],
        24: [(16, 24, 6, 2), (24, 24, 6, 1)],
        32: [(24, 32, 6, 2), *2 * [(32, 32, 6, 1)]],
    }
    side, encoder = 32, 32**2 * 27 * 32  # the first convolution, 3x3 of RGB at stride 2
    for inputs, outputs, expansion, stride in itertools.chain.from_iterable(bottleneck.values()):
        hidden = inputs * expansion
        encoder += (side**2 * inputs * hidden if expansion > 1 else 0) + (side // stride) ** 2 * hidden * (9 + outputs)
        side //= stride
    cell = 8 * 8 * (32 * 64 + 2 * 64 * 64 + 64 * 64 + 9 * 64 * 4)  # adapter, concat, reduction, classifier at 1/8
    assert found["macs_later"] == encoder + cell
    assert found["relative_macs"] == (encoder + cell) / found["macs_first"]


def test_the_mean_is_over_the_clip_and_relative_to_the_static_network(monkeypatch):
    warm_up, rounds = [(99, 99, 99)] * 2, [(6, 2, 4), (60, 20, 40), (7, 3, 4)]  # the machine was slow in one round
    seconds = itertools.chain.from_iterable(warm_up + rounds)
    monkeypatch.setattr(network_cost, "measure", lambda *_, **__: Latency(next(seconds), 0, 0))
    found = measure_costs(network("tdnet"), Timing(SIZE, clip=4, repeats=3), CPU)
    assert {name: value for name, value in found.items() if not name.endswith(("_low", "_high"))} == {
        **{"first": 7, "later": 3, "per_frame": 4},
        **{"mean": 4, "relative_latency": 0.75},  # of 3, 30 and 4, and of 3/4, 30/40 and 4/4
        "relative_latency_later": 0.5,  # of 2/4, 20/40 and 3/4
    }
    assert found["first_low"] == pytest.approx(np.percentile([6, 60, 7], 10))
    assert found["later_high"] == pytest.approx(np.percentile([2, 20, 3], 90))
    assert found["relative_latency_low"] == pytest.approx(np.percentile([0.75, 0.75, 1], 10))
    assert found["relative_latency_high"] == pytest.approx(np.percentile([0.75, 0.75, 1], 90))


def test_costs_at_further_sizes_are_named_by_them(monkeypatch):
    monkeypatch.setattr(network_cost, "measure", lambda *_, **__: Latency(1, 0, 0))
    made, timings = network("tdnet"), [Timing(size, clip=4, repeats=1) for size in (SIZE, (64, 40))]
    found = costs_at(made, timings, CPU)
    alone = [count_costs(made, each.size, 4) | measure_costs(made, each, CPU) for each in timings]
    assert {name: cost for name, cost in found.items() if "_at_" not in name} == alone[0]
    further = {name: cost for name, cost in alone[1].items() if name != "parameters"}
    assert {name.removesuffix("_at_64x40"): cost for name, cost in found.items() if "_at_" in name} == further


def test_the_ratio_of_the_per_frame_network_is_1_however_busy_the_machine_is(monkeypatch):
    seconds = itertools.cycle([6, 2, 4])
    monkeypatch.setattr(network_cost, "measure", lambda *_, **__: Latency(next(seconds), 0, 0))
    found = measure_costs(network("per_frame"), Timing(SIZE, clip=4, repeats=3), CPU)
    assert [found[f"relative_latency{end}"] for end in ("_low", "", "_high")] == [1, 1, 1]


def test_a_network_is_timed_in_eval_mode_folded_and_with_a_full_memory(monkeypatch):
    made, seen = network("lmanet").train(), []
    later = VideoNetwork.later

    def spy(self, images, state):
        norms = sum(isinstance(module, torch.nn.BatchNorm2d) for module in self.modules())
        seen.append((self.training, norms, tuple(images.shape), len(state)))
        return later(self, images, state)

    monkeypatch.setattr(VideoNetwork, "later", spy)
    times = measure_costs(made, Timing(SIZE, clip=2, repeats=2), CPU)
    assert {(training, shape, slots) for training, _, shape, slots in seen} == {(False, (1, 3, *SIZE), 4)}
    assert {norms for _, norms, _, _ in seen} == {3}  # those of the gated fusion that no convolution precedes
    assert made.training
    assert 0 < times["later_low"] <= times["later"] <= times["later_high"]
    assert "peak_bytes" not in times


def test_the_peak_on_a_gpu_is_of_the_folded_network_alone(monkeypatch):
    monkeypatch.setattr(network_cost, "_times", lambda *_: {})
    monkeypatch.setattr(torch.accelerator, "reset_peak_memory_stats", lambda device: None)
    monkeypatch.setattr(torch.accelerator, "memory_allocated", lambda device: 100)  # the network before it is folded
    monkeypatch.setattr(torch.accelerator, "max_memory_allocated", lambda device: 100 + 90 + 7)
    elsewhere = Compute(torch.device("meta"), None)
    assert measure_costs(network("tdnet"), Timing(SIZE, clip=2, repeats=1), elsewhere) == {"peak_bytes": 97}


def test_what_needs_too_much_memory_or_shall_not_be_timed_has_no_latency(monkeypatch, caplog):
    def full(*_, **__):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    assert measure_costs(network("tdnet"), Timing(SIZE, clip=2, repeats=0), CPU) == {}
    monkeypatch.setattr(network_cost, "measure", full)
    assert measure_costs(network("tdnet"), Timing(SIZE, clip=2, repeats=1), CPU) == {}
    assert "images of 33x50 need more memory than there is" in caplog.text


def test_a_bug_while_timing_is_not_taken_for_a_lack_of_memory(monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("sizes do not match")

    monkeypatch.setattr(network_cost, "measure", broken)
    with pytest.raises(RuntimeError, match="sizes do not match"):
        measure_costs(network("tdnet"), Timing(SIZE, clip=2, repeats=1), CPU)
