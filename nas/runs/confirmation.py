"""Confirmation: the best cells of a search and its fixed points trained again, longer and with fresh seeds.

The reward of a search comes from one short training, and the best of many such rewards flatters its cell. What is
trained here was chosen before, so its mean does not; the spread over seeds says how much of a difference is luck.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

import numpy as np

from baselines.fixed_points import STATIC
from nas.runs.ranking import fixed_points, ranking, reward_of
from nas.runs.trial import Trial
from nas.settings.config import SearchConfig
from nas.settings.seeding import stream

NO_SPREAD: Final = 1e-18  # sum of squares of rewards in [0, 1] that is rounding alone


def missing(trials: Sequence[Trial], config: SearchConfig) -> list[tuple[Trial, int]]:
    """List what a finished search has still to confirm: trials to train again, and the seed of each training.

    All networks have their first training before any has its second, so that an interrupted confirmation is fair.
    """
    if not config.confirm:
        return []
    fixed = [trial for trial in fixed_points(trials) if trial.ok and trial.name in config.fixed_points]
    chosen = [*ranking(trials)[: config.confirm], *(trial for trial in fixed if trial.name != STATIC)]
    held = {(trial.confirms, trial.seed) for trial in trials}
    planned = [(trial, _seed(trial, config, k)) for k in range(config.confirm_seeds) for trial in chosen]
    return [(trial, seed) for trial, seed in planned if (trial.name, seed) not in held]


def _seed(trial: Trial, config: SearchConfig, k: int) -> int:
    """Return the seed of the k-th training; it follows the cell, whatever its number."""
    key = trial.genotype.key if trial.number is not None and trial.genotype else trial.name
    again = (config.repetition,) if config.repetition else ()
    return stream(config.seed, "confirm", key, k, *again)


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """Longer trainings of one cell or fixed point, beside what the search said of it."""

    searched: Trial
    """Its trial in the search; of a fixed point, the mean over its seeds there."""
    trials: tuple[Trial, ...]
    """Longer trainings that ended well. The static network as it is has none: its one score is exact."""
    failed: int = 0
    """Number of longer trainings that failed."""
    competes: bool = True
    """Let it be called the best. What all others shall agree with is not: it is perfect by definition."""

    @property
    def rewards(self) -> tuple[float, ...]:
        """Rewards to compare, one a seed."""
        return tuple(map(reward_of, self.trials)) or (reward_of(self.searched),) * self.exact

    @property
    def exact(self) -> bool:
        """Tell whether the reward depends on no seed."""
        return self.searched.name == STATIC

    @property
    def mean(self) -> float | None:
        """Mean reward; None if no training ended well."""
        return float(np.mean(self.rewards)) if self.rewards else None

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation of the rewards; None for fewer than two."""
        return float(np.std(self.rewards, ddof=1)) if len(self.rewards) > 1 else None


def confirmations(trials: Sequence[Trial], objective: str = "geometric_mean") -> list[Confirmation]:
    """Group the longer trainings of a log by network, the best mean first; empty if there are none.

    Cells stand beside fixed points, the static network as it is among them, which does not compete where the objective
    is agreement with it. What failed with every seed stands last.
    """
    again: dict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        if trial.confirms is not None:
            again[trial.confirms].append(trial)
    if not again:
        return []
    found = [
        Confirmation(
            searched=trial,
            trials=tuple(each for each in again[trial.name] if each.ok),
            failed=sum(not each.ok for each in again[trial.name]),
            competes=trial.name != STATIC or objective != "agreement",
        )
        for trial in [*ranking(trials), *fixed_points(trials)]
        if trial.ok and (trial.name in again or trial.name == STATIC)
    ]
    return sorted(found, key=lambda each: -1.0 if each.mean is None else each.mean, reverse=True)


def final_ranking(trials: Sequence[Trial]) -> list[Trial]:
    """Rank the distinct cells: the confirmed ones by their mean, then the others as the search does.

    So the first is one that was confirmed, if any was, even where another had a higher reward in the search.
    """
    confirmed = [each.searched for each in confirmations(trials) if each.trials and each.searched.number is not None]
    names = {trial.name for trial in confirmed}
    return confirmed + [trial for trial in ranking(trials) if trial.name not in names]


def confirmed_depth(trials: Sequence[Trial]) -> int:
    """Count the best cells of a search, by its rewards, that were confirmed before the first that was not."""
    names = {each.searched.name for each in confirmations(trials) if each.trials}
    return sum(1 for _ in takewhile(lambda trial: trial.name in names, ranking(trials)))


def best_confirmed(trials: Sequence[Trial], depth: int) -> float:
    """Return the highest confirmed mean among the `depth` best cells of a search, all of which are confirmed."""
    names = {trial.name for trial in ranking(trials)[:depth]}
    return next(each.mean for each in confirmations(trials) if each.searched.name in names and each.mean is not None)


def chances(compared: Sequence[Confirmation], draws: int = 100_000) -> list[float | None]:
    """Compute how probable it is for each network that its true mean reward is the highest of those that compete.

    Rewards over seeds are taken as normal with one variance, pooled over all networks, of which no more is known before
    than that it is positive (prior 1 / variance). Then means are normal given the variance, and that is scaled inverse
    chi-squared (Gelman et al., Bayesian Data Analysis, 3rd ed., sections 3.2 and 3.6); the share of draws, with a
    fixed seed, in which a network is the best is its chance.

    Returns:
        One for each network, 0 for those without a reward and None for those that do not compete; the others sum to 1.
        All are None where no network has two seeds, or all seeds agree to the last digits, as of networks that learnt
        nothing: then no spread is known.
    """
    rewards = [np.array(each.rewards if each.competes else ()) for each in compared]
    freedom = sum(max(0, len(each) - 1) for each in rewards)
    squares = sum(float(((each - each.mean()) ** 2).sum()) for each in rewards if len(each))
    if not freedom or squares < NO_SPREAD:
        return [None] * len(compared)
    rng = np.random.default_rng(0)
    scale = np.sqrt(squares / rng.chisquare(freedom, draws))
    best, first = np.full(draws, -np.inf), np.zeros(draws, dtype=np.int64)
    for place, (network, each) in enumerate(zip(compared, rewards, strict=True)):
        noise = rng.standard_normal(draws)
        if len(each):
            mean = each.mean() + (0.0 if network.exact else scale * noise / np.sqrt(len(each)))
            first = np.where(mean > best, place, first)
            best = np.maximum(mean, best)
    shares: list[float] = (np.bincount(first, minlength=len(compared)) / draws).tolist()
    return [share if each.competes else None for each, share in zip(compared, shares, strict=True)]
