"""Costing a candidate: what one later frame takes after the encoder, counted and measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from nas.evaluation.head_cost import complexity
from nas.evaluation.latency import measure
from nas.networks.heads import Head, full_state
from nas.training.candidates.clips import Clips

REPEATS: Final = 5  # of a step, whose median is its latency


@dataclass(frozen=True)
class Costs:
    """Costs of one later frame, batch 1, with a full memory."""

    counts: Mapping[str, int]
    """`parameters`, `macs` and `state_bytes`, as `complexity` counts them."""
    latency: float
    """Median seconds on this machine."""


@torch.no_grad()
def cost(head: Head, clips: Clips, position: int, decoder: nn.Module) -> Costs:
    """Count and time a head on a frame; what it has learnt makes no difference.

    Args:
        head: left in eval mode.
        clips: that hold the frame.
        position: of the frame.
        decoder: the static one, which runs on every frame for a head that needs `dec`.
    """
    head.train(False)
    features = clips.frame(position)
    state = full_state(head, features)

    def later_frame() -> Tensor:
        with clips.compute.autocast():
            if "dec" in head.needs:
                decoder(features)
            dec, _ = head.step(features, state)
            logits: Tensor = head.classifier(dec)
            return logits

    latency = measure(later_frame, clips.compute.device, repeats=REPEATS).median
    return Costs(complexity(head, clips.sizes, decoder), latency)
