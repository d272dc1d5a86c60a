"""Layers that operations, aggregations and the cell share: batch norm, normalised convolution, resizing.

Shapes are (N, C, h, w) throughout; every block takes any size, down to one pixel, and any batch, down to one.
"""

import torch
import torch.nn.functional as F  # noqa: N812  (the usual name)
from torch import Tensor, nn


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation with PyTorch's defaults that also trains where a channel has a single value.

    One value has no variance: PyTorch refuses it in train mode. Here the running statistics normalise it, as in eval
    mode, and stay as they are. It happens after global pooling at batch 1, and on maps of one pixel.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.numel() == x.shape[1]:
            mean, variance = self.running_mean, self.running_var
            return F.batch_norm(x, mean, variance, self.weight, self.bias, training=False, eps=self.eps)
        return super().forward(x)


class ConvNormReLU(nn.Sequential):
    """Convolution without bias that keeps the size, batch norm, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 1) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False),
            BatchNorm(out_channels),
            nn.ReLU(inplace=True),
        )


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize bilinearly to (height, width), never by a factor: strides round up, so factors are not whole."""
    if x.shape[-2:] == size:
        return x
    if x.stride()[-2:] == (0, 0):  # one value a channel, as of global pooling, remains one
        return x[..., :1, :1].expand(-1, -1, *size)
    out = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
    if out.requires_grad and out.is_cpu:  # where a part of a gradient, as of a concatenation, takes seven times longer
        out.register_hook(lambda grad: grad.contiguous(memory_format=torch.channels_last))  # type: ignore[no-untyped-call]
    return out
