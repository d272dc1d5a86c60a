"""The numbers of a comparison of strategies: searches of several seeds each, at equal budget. Computes, says nothing.

The unit is a search, not a trial: the trials of one search depend on each other. A difference between two strategies
is tested over their seeds, by `significance.mann_whitney`, with `significance.holm` over all pairs of strategies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nas.reporting.comparison.significance import bootstrap_interval, holm, mann_whitney, smallest_p
from nas.reporting.search.curves import reward_curve
from nas.runs.ranking import reward_of
from nas.runs.trial import Trial

MEASURES: Final = {"confirmed": "confirmed reward", "best": "best reward", "mean": "mean reward"}
CURVES: Final = ("best_so_far", "moving_mean")


@dataclass(frozen=True)
class Search:
    """Numbers of one search within the budget. Failed trials count as trials and have no reward."""

    strategy: str
    seed: int
    best: float
    """Largest reward."""
    mean: float
    """Mean of all rewards."""
    late: float
    """Mean of the rewards of the last quarter of the trials; NaN if all of those failed."""
    trained: int
    """Number of trials that were trained; the others repeat an earlier cell of the search."""
    best_so_far: tuple[float, ...]
    """Largest reward so far after each trial; NaN before the first reward."""
    moving_mean: tuple[float, ...]
    """Mean of the latest `curves.SMOOTHING` rewards after each trial; NaN before the first reward."""
    confirmed: float = float("nan")
    """Highest mean reward of its best cells when trained again, longer; NaN if that is not known."""


def measures(searches: Sequence[Search]) -> dict[str, str]:
    """Select the measures to test, with their names: confirmed rewards only where every search has one."""
    known = all(search.confirmed == search.confirmed for search in searches)
    return {measure: name for measure, name in MEASURES.items() if measure != "confirmed" or known}


def summarise(strategy: str, seed: int, trials: Sequence[Trial], confirmed: float = float("nan")) -> Search:
    """Sum up a search.

    Args:
        strategy: name of its strategy.
        seed: of the search.
        trials: trials 0 to n - 1, in any order.
        confirmed: as in `Search`.

    Raises:
        ValueError: none of them has a reward.
    """
    curve, count = reward_curve(trials), len(trials)
    if not curve.rewards:
        raise ValueError(f"none of the {count} trials has a reward")
    quarter = [reward_of(trial) for trial in curve.trials if (trial.number or 0) >= count - ceil(count / 4)]
    return Search(
        strategy,
        seed,
        best=max(curve.rewards),
        mean=float(np.mean(curve.rewards)),
        late=float(np.mean(quarter)) if quarter else float("nan"),
        trained=sum(trial.repeat_of is None for trial in trials),
        best_so_far=_fill(curve.numbers, curve.best, count),
        moving_mean=_fill(curve.numbers, curve.mean, count),
        confirmed=confirmed,
    )


def _fill(numbers: Sequence[int], values: Sequence[float], count: int) -> tuple[float, ...]:
    """Hold each value from its trial to the next one's, over `count` trials."""
    held = np.full(count, np.nan)
    for number, value in zip(numbers, values, strict=True):
        held[number:] = value
    return tuple(held.tolist())


def by_strategy(searches: Sequence[Search]) -> dict[str, list[Search]]:
    """Group searches by strategy, in the order in which they were given."""
    groups: dict[str, list[Search]] = {}
    for search in searches:
        groups.setdefault(search.strategy, []).append(search)
    return groups


def band(searches: Sequence[Search], curve: str) -> NDArray[np.float64]:
    """Compute mean, lowest and highest value of a curve over equal searches, (3, trials); NaN where one has none."""
    values = np.array([getattr(search, curve) for search in searches])
    return np.stack([values.mean(axis=0), values.min(axis=0), values.max(axis=0)])


@dataclass(frozen=True)
class Difference:
    """Difference of two strategies in one measure, and how sure it is."""

    measure: str
    first: str
    second: str
    seeds: tuple[int, int]
    """Number of searches of each strategy."""
    difference: float
    """Mean over the seeds of `first` less that of `second`."""
    interval: tuple[float, float] | None
    """95 % bootstrap interval of the difference; None where a strategy has one seed."""
    wins: float
    """Share of the pairs of a search of each in which `first` is higher; ties count half."""
    p: float
    """Two-sided p of the Mann-Whitney U test over seeds."""
    adjusted: float
    """p after Holm's correction for all pairs of strategies."""
    smallest: float
    """Smallest value that `adjusted` could have had with so many seeds."""
    pairs: int
    """Number of pairs of strategies that were tested."""


def pairwise(searches: Sequence[Search], measure: str) -> list[Difference]:
    """Compare each pair of strategies in one of MEASURES."""
    groups = {name: [getattr(each, measure) for each in group] for name, group in by_strategy(searches).items()}
    pairs = list(combinations(groups, 2))
    ps = [mann_whitney(groups[first], groups[second]) for first, second in pairs]
    least = holm([smallest_p(len(groups[first]), len(groups[second])) for first, second in pairs])
    differences = []
    for (first, second), p, adjusted, smallest in zip(pairs, ps, holm(ps), least, strict=True):
        one, two = groups[first], groups[second]
        seeds = (len(one), len(two))
        difference = float(np.mean(one) - np.mean(two))
        interval = bootstrap_interval(one, two) if min(seeds) > 1 else None
        wins = float(np.mean(1 + np.sign(np.subtract.outer(one, two)))) / 2
        tested = (p, adjusted, smallest, len(pairs))
        differences.append(Difference(measure, first, second, seeds, difference, interval, wins, *tested))
    return differences
