"""Networks made ready for use: what a network computes is settled, and it may be computed as fast as a device can."""

from typing import TypeVar

import torch
from torch import nn

from nas.networks.folding import fold_norms
from nas.networks.strips import put_in_strips

Module = TypeVar("Module", bound=nn.Module)


def for_inference(network: Module, device: torch.device) -> Module:
    """Copy a network to a device for use alone: norms folded, and on a CPU inverted residuals in strips.

    Logits stay what they were but for rounding. The copy is in eval mode and can no longer be trained or saved; see
    `fold_norms`.
    """
    ready = fold_norms(network).to(device)
    if device.type == "cpu":
        put_in_strips(ready)
    return ready.eval()
