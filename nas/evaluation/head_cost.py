"""Costs of a head on one later frame, counted and not measured."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nas.networks.heads import Head, full_state
from searchspace.modules.cell import State


def complexity(head: Head, sizes: Mapping[str, Sequence[int]], decoder: nn.Module) -> dict[str, int]:
    """Count a head, its classifier included, and the decoder where it needs that; the encoder is not part of it.

    Args:
        head: an `nn.Module`; it is copied and nothing is computed.
        sizes: (channels, height, width) of each feature of a frame.
        decoder: the static one, which runs on every frame for a head that needs `dec`.

    Returns:
        `parameters`; `macs`, multiply-adds of one later frame, batch 1, in convolutions and matrix products, those of
        attentions over a full memory among them (interpolation, gating and other arithmetic on single elements is not
        counted, as is usual); and `state_bytes`, what a full memory holds between two frames, in float32.
    """
    assert isinstance(head, nn.Module)
    parts = nn.ModuleList([head, decoder] if "dec" in head.needs else [head])
    twin, *static = (cast(Any, part) for part in copy.deepcopy(parts).to("meta").eval())
    features = {name: torch.empty(1, *size, device="meta") for name, size in sizes.items()}
    with torch.no_grad():
        state = full_state(twin, features)

        def later_frame() -> None:
            for module in static:
                module(features)
            dec, _ = twin.step(features, state)
            twin.classifier(dec)

        macs = multiply_adds(later_frame)
    return {
        "parameters": sum(p.numel() for p in parts.parameters()),
        "macs": macs,
        "state_bytes": state_bytes(state),
    }


def multiply_adds(run: Callable[[], object]) -> int:
    """Count the multiply-adds of the convolutions and matrix products in `run`."""
    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops() // 2)


def state_bytes(state: State) -> int:
    """Count the bytes that a memory holds."""
    return sum(tensor.nbytes for slot in state for tensor in slot.values())
