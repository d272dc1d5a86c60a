"""What a head costs on one later frame, counted and not measured."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nas.training.rollout import Head


def complexity(head: Head, sizes: Mapping[str, Sequence[int]], decoder: nn.Module | None = None) -> dict[str, int]:
    """Count a head, its classifier included; the encoder that feeds it is not part of it.

    Args:
        head: an `nn.Module`; it is copied and nothing is computed.
        sizes: (channels, height, width) of each feature of a frame.
        decoder: the static one, of a head that needs its `dec` of every frame and not of the first one alone.

    Returns:
        `parameters`, and `macs`: multiply-adds of one later frame, batch 1, in convolutions and matrix products.
        Interpolation, gating and other arithmetic on single elements is not counted, as is usual.
    """
    assert isinstance(head, nn.Module)
    parts = nn.ModuleList([head] if decoder is None else [head, decoder])
    twin, *static = (cast(Any, part) for part in copy.deepcopy(parts).to("meta").eval())
    features = {name: torch.empty(1, *size, device="meta") for name, size in sizes.items()}
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        for module in static:
            module(features)
        dec, _ = twin.step(features, twin.init_state(features))
        twin.classifier(dec)
    return {"parameters": sum(p.numel() for p in parts.parameters()), "macs": counter.get_total_flops() // 2}
