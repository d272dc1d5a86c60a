"""Blocks that operations, aggregations and the cell share: normalised convolutions, depthwise convolution, resizing.

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


class DepthwiseConv(nn.Conv2d):
    """Convolution of every channel by itself, without bias, that keeps the size; `kernel` is odd.

    PyTorch's backward pass of a dilated one is slow on CPUs. A convolution of dilation d is a dense one on each of the
    d * d interleaved sub-grids of the map, so there we fold the sub-grids into the batch: 3 to 5 times faster
    (`benchmarks/candidate_step.py`). Forward alone is worth it only for kernels above 3x3.
    """

    def __init__(self, channels: int, kernel: int, dilation: int = 1) -> None:
        padding = dilation * (kernel // 2)
        super().__init__(channels, channels, kernel, padding=padding, dilation=dilation, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        worthwhile = torch.is_grad_enabled() or self.kernel_size[0] > 3
        if self.dilation[0] == 1 or not x.is_cpu or not worthwhile:
            return super().forward(x)
        return _on_subgrids(x, self.weight, self.dilation[0])


def _on_subgrids(x: Tensor, weight: Tensor, d: int) -> Tensor:
    """Depthwise convolution of dilation `d`, channels-last; sub-grids of unequal size are padded with zeros."""
    n, c, height, width = x.shape
    rows, columns = -(-height // d), -(-width // d)
    grids = F.pad(x, (0, columns * d - width, 0, rows * d - height)).permute(0, 2, 3, 1)
    grids = grids.reshape(n, rows, d, columns, d, c).permute(0, 2, 4, 1, 3, 5).reshape(n * d * d, rows, columns, c)
    out = F.conv2d(grids.permute(0, 3, 1, 2), weight, padding=weight.shape[-1] // 2, groups=c).permute(0, 2, 3, 1)
    out = out.reshape(n, d, d, rows, columns, c).permute(0, 3, 1, 4, 2, 5).reshape(n, rows * d, columns * d, c)
    return out.permute(0, 3, 1, 2)[:, :, :height, :width]


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear, to a given (height, width) and never by a factor: strides round up, so factors are not whole."""
    if x.shape[-2:] == size:
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
