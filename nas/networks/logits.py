"""Logits at stride 8 as classes of pixels: upsampled, checked, and the largest one taken."""

import torch
from torch import Tensor
from torch.nn import functional

from nas.settings.errors import NonFiniteError


def upsampled(logits: Tensor, size: tuple[int, ...]) -> Tensor:
    """Logits in float32 on a grid of `size`, bilinear: how a stride-8 output is compared with full labels."""
    return functional.interpolate(logits.float(), size=size, mode="bilinear", align_corners=False)


def classes_of(logits: Tensor, size: tuple[int, ...]) -> Tensor:
    """The class of each pixel on a grid of `size`, int64 (N, H, W).

    Raises:
        NonFiniteError: a logit is infinite or NaN, of which an arg max would make a class all the same.
    """
    if not torch.isfinite(logits).all():
        raise NonFiniteError("the network's logits are infinite or not numbers; its weights or its input are too large")
    return upsampled(logits, size).argmax(1)
