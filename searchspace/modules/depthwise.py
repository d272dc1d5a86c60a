"""Depthwise convolution whose gradients are fast on CPUs at any dilation.

PyTorch's CPU kernels are slow at the backward pass of a dilated depthwise convolution, and at the forward pass as well
if the kernel is larger than 3x3. Two identities avoid them (`benchmarks/candidate_step.py` has the gain):

- A convolution of dilation d is a dense one on each of the d * d interleaved sub-grids of the map, which can be
  folded into the batch.
- The gradient of the input is the same convolution of the incoming gradient, with the kernel turned by 180 degrees.
"""

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.grad import conv2d_weight


class DepthwiseConv(nn.Conv2d):
    """Convolution of every channel by itself, (N, C, h, w) to the same shape, without bias; `kernel` is odd."""

    def __init__(self, channels: int, kernel: int, dilation: int = 1) -> None:
        padding = dilation * (kernel // 2)
        super().__init__(channels, channels, kernel, padding=padding, dilation=dilation, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.dilation[0] == 1 or not x.is_cpu or torch.compiler.is_exporting():
            return super().forward(x)
        return _Dilated.apply(x, self.weight, self.dilation[0])  # type: ignore[no-any-return, no-untyped-call]


class _Dilated(torch.autograd.Function):
    """Dilated depthwise convolution of `x` (N, C, h, w) with `weight` (C, 1, k, k)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, dilation: int) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(x, weight)
        ctx.dilation = dilation
        return _convolve(x, weight, dilation)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:  # noqa: ANN401
        d = ctx.dilation
        x, weight = (saved.to(grad.dtype) for saved in ctx.saved_tensors)  # they differ under autocast
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_x = _convolve(grad, weight.flip(2, 3), d)
        if ctx.needs_input_grad[1]:
            c, padding = len(weight), weight.shape[-1] // 2
            grad_weight = conv2d_weight(  # type: ignore[no-untyped-call]
                _fold(x, d), weight.shape, _fold(grad, d), padding=padding, groups=c
            )
        return grad_x, grad_weight, None


def _convolve(x: Tensor, weight: Tensor, d: int) -> Tensor:
    kernel, groups = weight.shape[-1], len(weight)
    if kernel == 3:
        return F.conv2d(x, weight, padding=d, dilation=d, groups=groups)
    return _unfold(F.conv2d(_fold(x, d), weight, padding=kernel // 2, groups=groups), d, x.shape)


def _fold(x: Tensor, d: int) -> Tensor:
    """Split (N, C, h, w) into d * d interleaved sub-grids of one size, zero-padded: (N * d * d, C, ., .)."""
    n, c, height, width = x.shape
    rows, columns = -(-height // d), -(-width // d)
    x = F.pad(x, (0, columns * d - width, 0, rows * d - height)).permute(0, 2, 3, 1)
    x = x.reshape(n, rows, d, columns, d, c).permute(0, 2, 4, 1, 3, 5).reshape(n * d * d, rows, columns, c)
    return x.permute(0, 3, 1, 2)


def _unfold(grids: Tensor, d: int, shape: torch.Size) -> Tensor:
    """Invert `_fold`, for a map of `shape`."""
    n, c, height, width = shape
    rows, columns = grids.shape[-2:]
    x = grids.permute(0, 2, 3, 1).reshape(n, d, d, rows, columns, c).permute(0, 3, 1, 4, 2, 5)
    return x.reshape(n, rows * d, columns * d, c).permute(0, 3, 1, 2)[:, :, :height, :width]
