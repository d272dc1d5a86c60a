"""Reading a map through small windows at computed places; bilinear interpolation is one of them.

A map is seen as a table with one row of channels a pixel, and a frame of zeros around it. Deformable convolution,
affine sampling and predicted filters are then the same thing, sums of a few neighbouring rows with weights that are
learned, and nothing larger than their result is held.
"""

from collections.abc import Sequence
from functools import reduce
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.autograd.function import once_differentiable


def weighted_windows(x: Tensor, row: Tensor, column: Tensor, weight: Tensor) -> Tensor:
    """Sum `weight[..., i, j] * x[row + i, column + j]` over i and j; differentiable in `x` and `weight`, once.

    Args:
        x: (N, C, h, w), best in channels-last format; 0 outside.
        row: int32 (N, ...), of the upper left pixel of each window; windows leave the map by one pixel at most.
        column: of that pixel, likewise.
        weight: (N, ..., I, J); sums are accumulated in the wider of its and the map's type.

    Returns:
        (N, ..., C), of the type of `x`.
    """
    n, c, height, width = x.shape
    height, width = height + 2, width + 2  # with the frame
    dtype = torch.promote_types(x.dtype, weight.dtype)
    table = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1)).reshape(-1, c).to(dtype)
    image = torch.arange(n, dtype=torch.int32, device=x.device).view(-1, *[1] * (row.dim() - 1))
    corner = ((image * height + row + 1) * width + column + 1).flatten()
    steps = [i * width + j for i, j in product(*map(range, weight.shape[-2:]))]
    weight = weight.reshape(len(corner), len(steps)).to(dtype)
    if torch.compiler.is_exporting():  # ONNX has no `embedding_bag`, only a slow loop over its sums
        pixels = zip(steps, weight.unbind(1), strict=True)
        out = reduce(torch.add, (table[corner + step] * w.unsqueeze(1) for step, w in pixels))
    else:
        index = corner.unsqueeze(1) + torch.tensor(steps, dtype=torch.int32, device=x.device)
        sums = F.embedding_bag(index, table.detach(), mode="sum", per_sample_weights=weight)
        out = _GradientOfTable.apply(sums, table, corner, weight, steps)  # type: ignore[no-untyped-call]
    return out.view(*row.shape, c).to(x.dtype)


def bilinear(x: Tensor, row: Tensor, column: Tensor, scale: Tensor | float = 1.0) -> Tensor:
    """A map at points between its pixels; 0 outside, NaN where a coordinate is.

    Args:
        x: (N, C, h, w).
        row: (N, ...), counted in pixels from the centre of the first.
        column: likewise.
        scale: what each point's value is multiplied by.

    Returns:
        (N, ..., C), differentiable in all four.
    """
    (top, down), (left, right) = _split(row, x.shape[2]), _split(column, x.shape[3])
    lower = scale * down
    upper = scale - lower
    weights = [upper - upper * right, upper * right, lower - lower * right, lower * right]
    return weighted_windows(x, top, left, torch.stack(weights, -1).view(*row.shape, 2, 2))


def _split(position: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """The whole position below each one, int32 from -1 to `length` - 1, and how far above it that is, from 0 to 1."""
    position = position.clamp(-1, length)
    below = position.detach().floor().int().clamp(-1, length - 1)  # in this order NaN becomes a valid position too
    return below, position - below


class _GradientOfTable(torch.autograd.Function):
    """Passes `sums[b] = sum_k weight[b, k] * table[corner[b] + steps[k]]` on and gives `table` the gradient of that.

    `embedding_bag` would do so itself, but slowly on CPUs. The gradient is a weighted sum of rows too, of the incoming
    gradient, so the same kernel computes it once the windows are sorted by their corners, which all K pixels of a
    window share; and in the same order every time.
    """

    @staticmethod
    def forward(ctx: Any, sums: Tensor, table: Tensor, corner: Tensor, weight: Tensor, steps: Sequence[int]) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(corner, weight)
        ctx.rows, ctx.steps = len(table), steps
        return sums.view_as(sums)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        if not ctx.needs_input_grad[1]:
            return grad, None, None, None, None
        corner, weight = ctx.saved_tensors
        corner, order = corner.sort()
        corners = ctx.rows - ctx.steps[-1]
        starts = torch.searchsorted(corner, torch.arange(corners, dtype=corner.dtype, device=corner.device))
        table = grad.new_zeros(ctx.rows, grad.shape[1])
        for step, weights in zip(ctx.steps, weight[order].T.contiguous(), strict=True):
            table[step : step + corners] += F.embedding_bag(order, grad, starts, mode="sum", per_sample_weights=weights)
        return grad, table, None, None, None
