"""Difference of two small samples: an exact test, its limits, and an interval of the difference of means."""

from collections import Counter
from collections.abc import Sequence
from math import comb

import numpy as np


def mann_whitney(first: Sequence[float], second: Sequence[float]) -> float:
    """Compute the two-sided p of the Mann-Whitney U test (1947), exact for any sizes, also with ties.

    All ways to deal the pooled ranks to two samples of these sizes count, equal values sharing their mean rank; p is
    twice the share of those whose rank sum lies as far out as the observed one, on its side.
    """
    _, place, counts = np.unique([*first, *second], return_inverse=True, return_counts=True)
    ranks = [int(rank) for rank in (2 * np.cumsum(counts) - counts + 1)[place]]  # twice the rank, to be a whole number
    ways = [Counter({0: 1}), *(Counter[int]() for _ in first)]  # ways[k]: rank sum of k values -> number of ways
    for rank in ranks:
        for size in range(len(first), 0, -1):
            for total, count in ways[size - 1].items():
                ways[size][total + rank] += count
    observed = sum(ranks[: len(first)])
    below = sum(count for total, count in ways[-1].items() if total <= observed)
    above = sum(count for total, count in ways[-1].items() if total >= observed)
    return min(1.0, 2 * min(below, above) / ways[-1].total())


def smallest_p(first: int, second: int) -> float:
    """Compute the p of `mann_whitney` for samples of these sizes when all values of one exceed all of the other."""
    return min(1.0, 2 / comb(first + second, first))


def holm(values: Sequence[float]) -> list[float]:
    """Adjust the p of several tests (Holm 1979), in their order, so that any false alarm has the chance of one test."""
    adjusted, largest = [0.0] * len(values), 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        largest = max(largest, min(1.0, (len(values) - rank) * values[place]))
        adjusted[place] = largest
    return adjusted


def bootstrap_interval(
    first: Sequence[float], second: Sequence[float], *, level: float = 0.95, draws: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Compute the percentile bootstrap interval (Efron 1979) of mean(first) - mean(second); too narrow for few values.

    Raises:
        ValueError: a sample of fewer than two values, whose spread is unknown.
    """
    if min(len(first), len(second)) < 2:
        raise ValueError(f"a bootstrap needs two values a sample, but got {len(first)} and {len(second)}")
    rng = np.random.default_rng(seed)
    means = [rng.choice(sample, (draws, len(sample))).mean(axis=1) for sample in (first, second)]
    low, high = np.quantile(means[0] - means[1], [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
