"""What a head costs on one later frame, counted and not measured."""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nas.training.rollout import Head


def complexity(head: Head, sizes: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Count a head, its classifier included; the encoder that feeds it is not part of it.

    Args:
        head: an `nn.Module`; it is copied and nothing is computed.
        sizes: (channels, height, width) of each feature of a frame.

    Returns:
        `parameters`, and `macs`: multiply-adds of one later frame, batch 1, in convolutions and matrix products.
        Interpolation, gating and other arithmetic on single elements is not counted, as is usual.
    """
    assert isinstance(head, nn.Module)
    twin = copy.deepcopy(head).to("meta").eval()
    features = {name: torch.empty(1, *size, device="meta") for name, size in sizes.items()}
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        dec, _ = twin.step(features, twin.init_state(features))
        twin.classifier(dec)
    return {"parameters": sum(p.numel() for p in head.parameters()), "macs": counter.get_total_flops() // 2}
