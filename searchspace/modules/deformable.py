"""Modulated deformable 3x3 convolution (Zhu et al. 2019, "Deformable ConvNets v2", arXiv:1811.11168), in plain torch.

A convolution whose nine taps are moved, by an offset, and weighed, by a mask, anew at every pixel. Offsets and masks
come from a convolution of the same input. Sampled taps are nine times the input's size; no intermediate is larger.
"""

import torch
from torch import Tensor, nn

from searchspace.modules.layers import ConvNormReLU
from searchspace.modules.pixels import bilinear, weighted_pixels

TAPS = 9


class DeformableConv(nn.Module):
    """Modulated deformable convolution, batch norm, ReLU: (N, C, h, w) to the same shape.

    It starts as the paper's does: all offsets 0, all masks 1/2 (the norm that follows undoes the factor).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shift = nn.Conv2d(channels, 3 * TAPS, 3, padding=1)
        nn.init.zeros_(self.shift.weight)
        assert self.shift.bias is not None
        nn.init.zeros_(self.shift.bias)
        self.conv = ConvNormReLU(TAPS * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        shift = self.shift(x).permute(0, 2, 3, 1)
        offset, mask = shift[..., : 2 * TAPS].unflatten(-1, (TAPS, 2)), shift[..., 2 * TAPS :].sigmoid()
        return self.conv(deformable_taps(x, offset, mask))  # type: ignore[no-any-return]


def deformable_taps(x: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
    """Sample what the nine taps of a 3x3 kernel see, side by side in the channels.

    Args:
        x: (N, C, h, w).
        offset: (N, h, w, 9, 2), how far each tap, row by row, moves from its place: (down, right) in pixels.
        mask: (N, h, w, 9), what each tap is multiplied by.

    Returns:
        (N, 9 * C, h, w), channel tap * C + c; bilinear between pixels, 0 outside the map.
    """
    height, width = x.shape[-2:]
    tap = torch.arange(3.0, device=x.device) - 1
    down, right = (axis.flatten() for axis in torch.meshgrid(tap, tap, indexing="ij"))
    y = offset[..., 0] + down + torch.arange(height, device=x.device).view(-1, 1, 1)
    x_ = offset[..., 1] + right + torch.arange(width, device=x.device).view(-1, 1)
    taps = weighted_pixels(x, *bilinear(y, x_, (height, width), scale=mask))
    return taps.flatten(-2).permute(0, 3, 1, 2)
