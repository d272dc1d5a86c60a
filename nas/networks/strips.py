"""Inverted residuals in strips of rows: the same function in memory that fits in a cache, for use on a CPU.

An inverted residual makes its map up to six times as wide and narrow again. Of a large frame the wide map is far larger
than a cache, and to write and read it takes longer than the arithmetic. A few rows at a time, it stays in the cache;
each strip computes anew the row or two that its 3x3 filter shares with its neighbours.
"""

from math import ceil
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from cache.static.mobilenet_v2 import InvertedResidual

LARGE: Final = 8_000_000
"""Bytes of a wide map for each thread from which on strips are faster."""
STRIP: Final = 4_000_000
"""Bytes of a strip's wide map for each thread, about, without the rows that it shares with its neighbours."""


class InStrips(nn.Module):
    """An inverted residual that runs in strips where its wide map is large; the same function in eval mode.

    Batches of more than one image run as they are, and so does whatever is not on a CPU.
    """

    def __init__(self, block: InvertedResidual) -> None:
        super().__init__()
        *expand, filters, project, norm = block.conv
        assert isinstance(filters, nn.Sequential)
        conv, *behind = filters
        assert isinstance(conv, nn.Conv2d)
        self._block, self._expand = block, nn.Sequential(*expand)
        self._filter, self._narrow = conv, nn.Sequential(*behind, project, norm)

    def forward(self, x: Tensor) -> Tensor:
        share = self._filter.in_channels * x.shape[2] * x.shape[3] * x.element_size() / torch.get_num_threads()
        if share < LARGE or len(x) != 1 or not x.is_cpu:
            whole: Tensor = self._block(x)
            return whole
        return self.in_strips(x, ceil(self._height(x) / ceil(share / STRIP)))

    def in_strips(self, x: Tensor, rows: int) -> Tensor:
        """Run on (N, C, H, W) so that each strip gives `rows` rows of the result, the last one perhaps fewer."""
        height = self._height(x)
        return torch.cat([self._strip(x, top, min(top + rows, height)) for top in range(0, height, rows)], 2)

    def _height(self, x: Tensor) -> int:
        return ceil(x.shape[2] / self._filter.stride[0])

    def _strip(self, x: Tensor, top: int, bottom: int) -> Tensor:
        """Compute rows `top` to `bottom` of the result, the latter excluded."""
        conv = self._filter
        first, end = top * conv.stride[0] - 1, (bottom - 1) * conv.stride[0] + 2  # the rows of x that it reaches
        above, below = max(-first, 0), max(end - x.shape[2], 0)  # those of them that are beyond the map
        wide = self._expand(x[:, :, first + above : end - below])
        if above or below:
            wide = functional.pad(wide, (0, 0, above, below))
        wide = functional.conv2d(wide, conv.weight, conv.bias, conv.stride, (0, 1), groups=conv.groups)
        y: Tensor = self._narrow(wide)
        return y + x[:, :, top:bottom] if self._block.residual else y


def put_in_strips(network: nn.Module) -> None:
    """Replace every inverted residual of a network by one that runs in strips."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, InvertedResidual):
                setattr(parent, name, InStrips(child))
