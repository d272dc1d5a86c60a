"""Logits at stride 8 to classes of pixels: upsampled, checked, and the largest one taken."""

import torch
from torch import Tensor
from torch.nn import functional

from nas.settings.errors import NonFiniteError


def upsampled(logits: Tensor, size: tuple[int, ...]) -> Tensor:
    """Upsample logits to a grid of `size`, bilinear, in float32: how a stride-8 output is compared with full labels."""
    return functional.interpolate(logits.float(), size=size, mode="bilinear", align_corners=False)


def classes_of(logits: Tensor, size: tuple[int, ...]) -> Tensor:
    """Find the class of each pixel on a grid of `size`, int64 (N, H, W).

    Raises:
        NonFiniteError: a logit is infinite or NaN, which an arg max would take for a class all the same.
    """
    if not torch.isfinite(logits).all():
        raise NonFiniteError("the network's logits are infinite or not numbers; its weights or its input are too large")
    return upsampled(logits, size).argmax(1)
