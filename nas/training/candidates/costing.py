"""Costing a candidate: what its later frames take, counted beside the per-frame network's, and measured."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from cache.static.network import StaticNetwork
from nas.evaluation.head_cost import complexity
from nas.evaluation.latency import measure
from nas.evaluation.latency_table import LatencyTable
from nas.evaluation.network_cost import count_costs
from nas.networks.heads import Head, full_state
from nas.networks.video_network import VideoNetwork
from nas.training.candidates.clips import Clips

REPEATS: Final = 5  # of a step, whose median is its latency
RELATIVE: Final = ("relative_macs", "relative_macs_later")


@dataclass(frozen=True)
class Costs:
    """Costs of a candidate, batch 1, with a full memory."""

    counts: Mapping[str, float]
    """`parameters`, `macs` and `state_bytes` of a later frame after the encoder, as `complexity` counts them; and
    `relative_macs` and `relative_macs_later`, encoder included, over the per-frame network's, as `count_costs` does;
    and what the table of latencies predicts, if there is one."""
    latency: float
    """Median seconds of a later frame after the encoder, on this machine."""


@torch.no_grad()
def cost(
    head: Head,
    clips: Clips,
    position: int,
    static: StaticNetwork,
    refresh: int = 0,
    latencies: LatencyTable | None = None,
) -> Costs:
    """Count and time a head on a frame; what it has learnt makes no difference.

    The relative costs are counted and not timed: they are the same whenever that is done, and so are rewards that hang
    on them. Timing whole frames would take seconds, and other workers run beside it.

    Args:
        head: left in eval mode.
        clips: that hold the frame.
        position: of the frame.
        static: network that the features are of; its decoder runs on every frame for a head that needs `dec`. If it
            reads `layer1`, which no cell does and no cache holds, zeros stand in.
        refresh: frames from one key frame to the next; 0 has none after a clip's first.
        latencies: times of blocks, from which relative latencies are predicted.
    """
    head.train(False)
    features = clips.frame(position)
    _, height, width = clips.sizes["layer2"]
    layer1 = (static.encoder.channels["layer1"], 2 * height, 2 * width)
    encoded = {**features, "layer1": features["layer2"].new_zeros(1, *layer1)}
    state = full_state(head, features)

    def later_frame() -> Tensor:
        with clips.compute.autocast():
            if "dec" in head.needs:
                static.decoder(encoded)
            dec, _ = head.step(features, state)
            logits: Tensor = head.classifier(dec)
            return logits

    latency = measure(later_frame, clips.compute.device, repeats=REPEATS).median
    network = VideoNetwork(copy.deepcopy(static), head, refresh)  # a copy, as it may be given the head's classifier
    whole = count_costs(network, clips.image_size)
    sizes = {**clips.sizes, "layer1": layer1}
    counts = complexity(head, sizes, static.decoder) | {name: whole[name] for name in RELATIVE}
    counts |= latencies.costs(head, refresh) if latencies else {}
    return Costs(counts, latency)
