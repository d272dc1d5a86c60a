"""Cells as numbers, for predictors: what is decided where, how often each choice is made, and what goes with what."""

import numpy as np
import numpy.typing as npt

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

    def encode_tokens(self, tokens: npt.NDArray[np.int64]) -> Features:
        """Encode cells, given as tokens (cells, D): float32 (cells, features)."""
        one_hot = [np.eye(size, dtype=np.float32)[column] for size, column in zip(self._sizes, tokens.T, strict=True)]
        return np.concatenate([*one_hot, *self._counts(tokens)], 1)

    def encode_flow(self, tokens: npt.NDArray[np.int64]) -> Features:
        """Say how large a share of a cell's result passes each choice, and each pair: float32 (cells, features).

        `dec` is in equal shares of the loose ends, and a block in halves of its two inputs, back to the sources. So it
        counts where in the cell a choice is made, and not in which block. The first feature is the share of loose ends.
        """
        inputs, operations, aggregations = self._kinds
        by_block = tokens.reshape(len(tokens), self.space.blocks, 5)
        read, applied, aggregated = by_block[..., :2], by_block[..., 2:4], by_block[..., 4:]
        sources = inputs - self.space.blocks + 1  # the last block reads all others
        blocks = sources + np.arange(self.space.blocks)
        loose = ~(read[:, None] == blocks[:, None, None]).any((2, 3))  # (cells, blocks)
        share = (loose / loose.sum(1, keepdims=True)).astype(np.float32)
        for block in reversed(range(self.space.blocks)):
            for slot in range(2):
                share[:, :block] += (read[:, block, slot, None] == blocks[:block]) * share[:, block, None] / 2
        weights = np.repeat(share[..., None] / 2, 2, axis=2)
        origin = np.minimum(read, sources)  # all blocks count as one
        return np.concatenate(
            [
                loose.mean(1, dtype=np.float32, keepdims=True),
                _count(origin, sources + 1, weights),
                _count(applied, operations, weights),
                _count(aggregated, aggregations, share[..., None]),
                _count(origin * operations + applied, (sources + 1) * operations, weights),
                _count(applied * aggregations + aggregated, operations * aggregations, weights),
            ],
            1,
        )

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


def _count(values: npt.NDArray[np.int64], size: int, weights: npt.NDArray[np.float32] | float = 1) -> Features:
    """Count how often each of `size` values occurs in a row, or add their weights up: (n, ...) to (n, size)."""
    flat = values.reshape(len(values), -1 if len(values) else 0)
    counts = np.zeros((len(flat), size), np.float32)
    added = np.broadcast_to(np.asarray(weights, np.float32), values.shape).reshape(flat.shape)
    np.add.at(counts, (np.arange(len(flat))[:, None], flat), added)
    return counts
