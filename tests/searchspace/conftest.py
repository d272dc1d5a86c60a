"""References written with explicit loops, and the comparison of a module with one: values and gradients, in float64."""

import math
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn


def pixel(x: Tensor, n: int, row: int, column: int) -> Tensor:
    """(C,): the channels of one pixel, zero outside the map."""
    inside = 0 <= row < x.shape[2] and 0 <= column < x.shape[3]
    return x[n, :, row, column] if inside else x.new_zeros(x.shape[1])


def bilinear(x: Tensor, n: int, row: Tensor, column: Tensor) -> Tensor:
    """(C,): the map at a point between pixels, zero outside."""
    top, left = math.floor(row.item()), math.floor(column.item())
    total = x.new_zeros(x.shape[1])
    for r in (top, top + 1):
        for c in (left, left + 1):
            total = total + (1 - (row - r).abs()) * (1 - (column - c).abs()) * pixel(x, n, r, c)
    return total


def every_pixel(x: Tensor, value: Callable[[int, int, int], Tensor]) -> Tensor:
    """The map (N, C, h, w) of `value(n, row, column)`, each (C,)."""
    n, _, height, width = x.shape
    rows = [[torch.stack([value(i, r, c) for c in range(width)], -1) for r in range(height)] for i in range(n)]
    return torch.stack([torch.stack(row, 1) for row in rows])


def conv(x: Tensor, weight: Tensor, dilation: int = 1) -> Tensor:
    """Convolution with an odd kernel (O, C, k, k), zeros outside, size kept."""
    reach = weight.shape[-1] // 2
    taps = [(i, j) for i in range(weight.shape[2]) for j in range(weight.shape[3])]

    def value(n: int, row: int, column: int) -> Tensor:
        seen = [pixel(x, n, row + dilation * (i - reach), column + dilation * (j - reach)) for i, j in taps]
        return torch.stack([weight[:, :, i, j] @ at for (i, j), at in zip(taps, seen, strict=True)]).sum(0)

    return every_pixel(x, value)


def depthwise(x: Tensor, weight: Tensor, dilation: int = 1) -> Tensor:
    """`conv` of each channel by itself, with a kernel (C, 1, k, k)."""
    maps = [conv(x[:, c : c + 1], weight[c : c + 1], dilation) for c in range(x.shape[1])]
    return torch.cat(maps, 1)


def norm_relu(x: Tensor, norm: nn.Module, epsilon: float = 1e-5) -> Tensor:
    """Batch norm in train mode with the parameters of `norm`, then ReLU."""
    maps = []
    for c in range(x.shape[1]):
        values = x[:, c]
        mean = values.mean()
        variance = ((values - mean) ** 2).mean()
        maps.append((values - mean) / (variance + epsilon).sqrt() * norm.weight[c] + norm.bias[c])
    return torch.stack(maps, 1).clamp(min=0)


@pytest.fixture(scope="session")
def naive() -> SimpleNamespace:
    return SimpleNamespace(
        bilinear=bilinear, conv=conv, depthwise=depthwise, every_pixel=every_pixel, norm_relu=norm_relu, pixel=pixel
    )


@pytest.fixture(scope="session")
def assert_same() -> Callable[[Tensor, Tensor, Sequence[Tensor]], None]:
    def check(actual: Tensor, expected: Tensor, wrt: Sequence[Tensor]) -> None:
        """Equal values, and equal gradients of a random projection in `wrt`."""
        torch.testing.assert_close(actual, expected)
        direction = torch.randn(expected.shape, dtype=expected.dtype, generator=torch.Generator().manual_seed(1))
        gradients = [
            torch.autograd.grad((y * direction).sum(), wrt, allow_unused=True, retain_graph=True)
            for y in (actual, expected)
        ]
        for one, two, tensor in zip(*gradients, wrt, strict=True):
            zero = torch.zeros_like(tensor)
            torch.testing.assert_close(zero if one is None else one, zero if two is None else two)

    return check


@pytest.fixture(scope="session")
def draw() -> Callable[..., Tensor]:
    def randn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
        """A normal leaf tensor that wants its gradient."""
        values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
        return values.requires_grad_()

    return randn


@pytest.fixture(scope="session")
def stir() -> Callable[[nn.Module], nn.Module]:
    def randomise(module: nn.Module, scale: float = 0.3) -> nn.Module:
        """Move every parameter of `module` away from its start, which may be an identity or zero."""
        generator = torch.Generator().manual_seed(2)
        with torch.no_grad():
            for parameter in module.parameters():
                parameter += scale * torch.randn(parameter.shape, generator=generator)
        return module

    return randomise
