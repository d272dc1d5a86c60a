"""Cells as numbers, for predictors: what is decided where, how often each choice is made, and what goes with what."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from searchspace.genotype import Genotype
from searchspace.space import Space

Features = npt.NDArray[np.float32]


class Encoding:
    """Features of a space's cells: tokens as one-hot vectors, and counts over blocks of choices and of pairs.

    Pairs are an input with the operation on it, and an operation with its aggregation. Counts let a predictor learn
    from one block about all others; one-hot tokens say which block it was.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self._sizes = [decision.choices for decision in space.decisions]
        self._kinds = tuple(len(space.vocabulary(kind)) for kind in ("input", "operation", "aggregation"))

    def __call__(self, cells: Sequence[Genotype]) -> Features:
        """Encode cells of the space: float32 (cells, features). Raises SpaceError for a cell of another space."""
        return self.encode_tokens(np.array([self.space.tokens(cell) for cell in cells], np.int64))

    def encode_tokens(self, tokens: npt.NDArray[np.int64]) -> Features:
        """Encode cells that are given as tokens (cells, D): float32 (cells, features)."""
        tokens = tokens.reshape(-1, len(self._sizes))
        one_hot = [np.eye(size, dtype=np.float32)[column] for size, column in zip(self._sizes, tokens.T, strict=True)]
        return np.concatenate([*one_hot, *self._counts(tokens)], 1)

    @cached_property
    def width(self) -> int:
        """Number of features."""
        inputs, operations, aggregations = self._kinds
        return sum(self._sizes) + sum(self._kinds) + operations * (inputs + aggregations)

    def _counts(self, tokens: npt.NDArray[np.int64]) -> list[Features]:
        inputs, operations, aggregations = self._kinds
        by_block = tokens.reshape(len(tokens), self.space.blocks, 5)
        read, applied, aggregated = by_block[..., :2], by_block[..., 2:4], by_block[..., 4:]
        return [
            _count(read, inputs),
            _count(applied, operations),
            _count(aggregated, aggregations),
            _count(read * operations + applied, inputs * operations),
            _count(applied * aggregations + aggregated, operations * aggregations),
        ]


def _count(values: npt.NDArray[np.int64], size: int) -> Features:
    """Count how often each of `size` values occurs in a row: (n, ...) to (n, size)."""
    flat = values.reshape(len(values), -1 if len(values) else 0)
    counts = np.zeros((len(flat), size), np.float32)
    np.add.at(counts, (np.arange(len(flat))[:, None], flat), 1)
    return counts
