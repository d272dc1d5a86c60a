"""Warps by optical flow, for ETC's temporal loss and for the score of temporal consistency.

A flow is float (N, 2, H, W): pixel (x, y) of a frame is at (x + flow[:, 0], y + flow[:, 1]) in the other frame. All
warps are backward ones: they bring the other frame's values to the pixels of the frame that the flow starts from.
"""

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

_TOLERANCE: Final = 0.01, 0.5  # of squared lengths, and in squared pixels: Sundaram et al., ECCV 2010, equation 5


def warp(values: Tensor, flow: Tensor) -> Tensor:
    """Bring values (N, C, H, W) of the other frame to the frame's pixels, bilinear; beyond the border its nearest."""
    height, width = values.shape[-2:]
    x, y = positions(flow)
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    return functional.grid_sample(values, grid.to(values.dtype), "bilinear", "border", align_corners=False)


def warp_classes(classes: Tensor, flow: Tensor) -> Tensor:
    """Bring classes, integer (N, H, W), of the other frame to the frame's pixels, each from the pixel nearest to it."""
    height, width = classes.shape[-2:]
    x, y = positions(flow)
    index = y.round().long().clamp(0, height - 1) * width + x.round().long().clamp(0, width - 1)
    return classes.flatten(1).gather(1, index.flatten(1)).view_as(classes)


def in_frame(flow: Tensor) -> Tensor:
    """Mark the pixels within the other frame, bool (N, H, W): no farther out than half a pixel from a centre."""
    height, width = flow.shape[-2:]
    x, y = (position.round() for position in positions(flow))
    return (x >= 0) & (x < width) & (y >= 0) & (y < height)


def agree(flow: Tensor, back: Tensor) -> Tensor:
    """Mark where the way there and back ends where it began, bool (N, H, W); not so where a surface is covered.

    Args:
        flow: from the frame to the other one.
        back: from the other one to the frame.
    """
    returned = warp(back, flow)
    share, pixels = _TOLERANCE
    lengths = flow.square().sum(1) + returned.square().sum(1)
    return (flow + returned).square().sum(1) <= share * lengths + pixels


def positions(flow: Tensor) -> tuple[Tensor, Tensor]:
    """Compute where each pixel is in the other frame, x and y (N, H, W), in pixels."""
    height, width = flow.shape[-2:]
    y, x = (torch.arange(side, device=flow.device, dtype=flow.dtype) for side in (height, width))
    return x + flow[:, 0], y[:, None] + flow[:, 1]
