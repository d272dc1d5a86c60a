"""Cutting maps into tiles of queries, each with the region of keys that its windows cover, and adding tiles up again.

Maps are channels-last here: of queries (N, h, w, C), of what T slots hold (N, h, w, T, C). A tile is `rows` x `columns`
positions; its region reaches `reach` positions further on every side. Both may leave the map.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

TILE = (4, 8)
"""Rows and columns that a tile has at most: larger tiles have more pairs outside windows, smaller ones more copies."""


@dataclass(frozen=True)
class TileStack:
    """Stack of `tiles` tiles, one below the other from (`top`, `left`) on, of some of the images."""

    rows: int
    columns: int
    reach: int
    tiles: int
    images: slice
    top: int
    left: int

    def queries(self, x: Tensor) -> Tensor:
        """Cut (N, h, w, C) into (n, tiles, rows * columns, C), in float32 at least, zeros outside the map."""
        part = self._crop(x, 0, 0.0)
        return part.view(len(part), self.tiles, -1, x.shape[-1])

    def regions(self, x: Tensor, outside: float = 0.0) -> Tensor:
        """Cut (N, h, w, T, C) into (n, tiles, positions * T, C), in float32 at least, `outside` outside the map.

        Where regions overlap they share memory.
        """
        return self._overlapping(self._crop(x, self.reach, outside)).flatten(2, 4)

    def add_queries(self, x: Tensor, tiles: Tensor) -> None:
        """Add to a map where `queries` would read."""
        self._add(x, tiles.view(len(tiles), -1, self.columns, x.shape[-1]), 0)

    def add_regions(self, x: Tensor, tiles: Tensor) -> None:
        """Add to a map where `regions` would read."""
        part = x.new_zeros(len(tiles), *self._size(self.reach), *x.shape[3:])
        regions = self._overlapping(part)
        tiles, apart = tiles.view(regions.shape), -(-regions.shape[2] // self.rows)
        for first in range(apart):  # as far apart as this they do not overlap
            regions[:, first::apart] += tiles[:, first::apart]
        self._add(x, part, self.reach)

    def far(self, device: torch.device) -> Tensor:
        """Mark the positions of its region outside a query's window: bool (rows * columns, positions)."""
        y, x = (
            torch.arange(-self.reach, side + self.reach, device=device) - torch.arange(side, device=device).unsqueeze(1)
            for side in (self.rows, self.columns)
        )
        near = (y.abs() <= self.reach)[:, None, :, None] & (x.abs() <= self.reach)[None, :, None, :]
        return ~near.flatten(2).flatten(0, 1)

    def _size(self, margin: int) -> tuple[int, int]:
        return self.tiles * self.rows + 2 * margin, self.columns + 2 * margin

    def _overlapping(self, part: Tensor) -> Tensor:
        """View (n, ., columns of a region, T, C) as (n, tiles, rows of a region, columns of a region, T, C)."""
        return part.unfold(1, self.rows + 2 * self.reach, self.rows).movedim(-1, 2)

    def _crop(self, x: Tensor, margin: int, outside: float) -> Tensor:
        y, x_, beyond = self._on_map(x, margin)
        part = F.pad(x[self.images, y, x_], (0, 0) * (x.dim() - 3) + beyond, value=outside)
        return part.to(torch.promote_types(x.dtype, torch.float32)).contiguous()

    def _add(self, x: Tensor, part: Tensor, margin: int) -> None:
        y, x_, (left, right, above, below) = self._on_map(x, margin)
        x[self.images, y, x_] += part[:, above : part.shape[1] - below, left : part.shape[2] - right]

    def _on_map(self, x: Tensor, margin: int) -> tuple[slice, slice, tuple[int, int, int, int]]:
        """Find rows and columns of a map in the stack and a margin around it, and how far that leaves the map."""
        (height, width), top, left = self._size(margin), self.top - margin, self.left - margin
        y, x_ = slice(max(0, top), min(top + height, x.shape[1])), slice(max(0, left), min(left + width, x.shape[2]))
        return y, x_, (x_.start - left, left + width - x_.stop, y.start - top, top + height - y.stop)


def tile_stacks(images: int, height: int, width: int, slots: int, reach: int, pairs: float) -> Iterator[TileStack]:
    """Cut maps into stacks of tiles; every position is in one of them.

    Args:
        images: N.
        height: rows of the maps.
        width: columns of the maps.
        slots: T.
        reach: half the window.
        pairs: of a query and a key, which a stack may have unless a single tile has more. With infinitely many, stacks
            are strips from top to bottom, of all images.
    """
    rows, columns = _even(height, TILE[0]), _even(width, TILE[1])
    stack = -(-height // rows)
    fit = max(1, pairs / (rows * columns * (rows + 2 * reach) * (columns + 2 * reach) * slots))
    tiles, together = _even(stack, int(min(fit, stack))), int(min(max(1, fit / stack), images))
    for first in range(0, images, together):
        for left in range(0, width, columns):
            for top in range(0, height, tiles * rows):
                yield TileStack(rows, columns, reach, tiles, slice(first, first + together), top, left)


def _even(size: int, most: int) -> int:
    """Find the longest of as few and as equal parts as there can be, none longer than `most`."""
    return -(-size // -(-size // most))
