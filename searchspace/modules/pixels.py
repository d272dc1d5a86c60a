"""Reading a map at computed places: weighted sums of pixels, and bilinear interpolation as one of them.

A map is seen as a table with one row of channels a pixel. Deformable convolution, affine sampling and predicted filters
are then the same thing, sums of a few rows with weights that are learned, and nothing larger than their result is held.
"""

from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.autograd.function import once_differentiable


def weighted_pixels(x: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """Sum `weight[..., k] * x[pixel index[..., k]]` over k; differentiable in `x` and `weight`, once.

    Args:
        x: (N, C, h, w), best in channels-last format.
        index: int32 or, more slowly, int64 (N, ..., K), row * w + column of a pixel of the same image.
        weight: (N, ..., K); sums are accumulated in the wider of its and the map's type.

    Returns:
        (N, ..., C), of the type of `x`.
    """
    (n, c, height, width), shape = x.shape, index.shape[:-1]
    dtype = torch.promote_types(x.dtype, weight.dtype)
    table = x.permute(0, 2, 3, 1).reshape(-1, c).to(dtype)
    first = torch.arange(n, dtype=torch.int32, device=x.device).view(-1, *[1] * (index.dim() - 1)) * (height * width)
    index, weight = (index + first).flatten(0, -2), weight.flatten(0, -2).to(dtype)
    if torch.compiler.is_exporting():  # ONNX has no `embedding_bag`, only a slow loop over its sums
        taps = zip(index.unbind(1), weight.unbind(1), strict=True)
        out = reduce(torch.add, (table[i.long()] * w.unsqueeze(1) for i, w in taps))
    else:
        sums = F.embedding_bag(index, table.detach(), mode="sum", per_sample_weights=weight)
        out = _GradientOfTable.apply(sums, table, index, weight)  # type: ignore[no-untyped-call]
    return out.view(*shape, c).to(x.dtype)


def bilinear(y: Tensor, x: Tensor, size: tuple[int, int], scale: Tensor | float = 1.0) -> tuple[Tensor, Tensor]:
    """Find the pixels around points (`y`, `x`) of a map of `size` (height, width): index and weight, both (..., 4).

    Coordinates count pixels, (0, 0) is the centre of the first one. Pixels outside the map have weight 0. Weights are
    multiplied by `scale` (...).
    """
    (top, above), (bottom, below) = _neighbours(y, size[0])
    (left, before), (right, after) = _neighbours(x, size[1])
    above, below, top, bottom = above * scale, below * scale, top * size[1], bottom * size[1]
    # Each a map of its own, stacked last: arithmetic on innermost dimensions of 2 is ten times slower on CPUs.
    index = torch.stack((top + left, top + right, bottom + left, bottom + right), -1)
    return index, torch.stack((above * before, above * after, below * before, below * after), -1)


def _neighbours(position: Tensor, length: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Find the whole positions, int32, below and above each one, with linear weights; outside clamped, of weight 0."""
    low = position.detach().floor()
    share = position - low
    weights = (1 - share) * ((low >= 0) & (low < length)), share * ((low >= -1) & (low < length - 1))
    low = low.int()  # before clamping, so that NaN and what is no int32 are valid indices too
    return (low.clamp(0, length - 1), weights[0]), ((low + 1).clamp(0, length - 1), weights[1])


class _GradientOfTable(torch.autograd.Function):
    """Identity of `sums[b] = sum_k weight[b, k] * table[index[b, k]]` that gives `table` the gradient of that.

    `embedding_bag` would do so itself, but slowly on CPUs. The gradient is a weighted sum of rows too, of the incoming
    gradient, so the same kernel computes it once the indices are sorted; and in the same order every time.
    """

    @staticmethod
    def forward(ctx: Any, sums: Tensor, table: Tensor, index: Tensor, weight: Tensor) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(index, weight)
        ctx.rows = len(table)
        return sums.view_as(sums)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None, None]:  # noqa: ANN401
        if not ctx.needs_input_grad[1]:
            return grad, None, None, None
        index, weight = ctx.saved_tensors
        rows, order = index.flatten().sort()
        starts = torch.searchsorted(rows, torch.arange(ctx.rows, dtype=rows.dtype, device=rows.device))
        weights = weight.flatten()[order]
        readers = order // index.shape[1]
        return grad, F.embedding_bag(readers, grad, starts, mode="sum", per_sample_weights=weights), None, None
