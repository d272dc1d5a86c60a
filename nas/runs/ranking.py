"""The best trials of a search: the ranking of cells, the front over reward and cost, and the means of the fixed points.

All functions take trials in any order, fixed points among them, and do not need a search to have finished. A sampled
trial is one with a number. A trial that failed counts as sampled and has no reward.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeVar

import numpy as np

from nas.runs.trial import Trial

Item = TypeVar("Item")

RELATIVE: Final[Mapping[str, str]] = {"macs": "relative_macs", "latency": "relative_latency"}
"""Units that a search may count costs in, and the name in `Trial.cost` of a clip's over the per-frame network's."""


def ranking(trials: Sequence[Trial]) -> list[Trial]:
    """Rank the distinct cells among the sampled trials, best reward first, the earlier first where rewards are equal.

    A cell that was sampled several times is there once, with its best trial. A cell that was stopped half-way stands
    where its half-way reward puts it.
    """
    ranked = sorted((trial for trial in sampled(trials) if trial.ok), key=reward_of, reverse=True)
    best: dict[str, Trial] = {}
    for trial in ranked:
        if trial.genotype is not None:
            best.setdefault(trial.genotype.key, trial)
    return list(best.values())


def pareto_front(trials: Sequence[Trial], cost: str) -> list[Trial]:
    """Find the distinct cells and fixed points that no other beats in worth without costing more, cheapest first.

    Args:
        trials: only those with a reward and with this cost can be on the front.
        cost: `latency`, or a name in `Trial.cost`.
    """
    fixed = [trial for trial in fixed_points(trials) if trial.ok and cost_of(trial, cost) is not None]
    return front([*with_cost(trials, cost), *fixed], lambda trial: cost_of(trial, cost) or 0.0, worth_of)


def along_front(trials: Sequence[Trial], count: int, cost: str = "relative_macs") -> list[Trial]:
    """Choose cells among those that no other cell beats in worth without costing more, spread over their costs.

    Returns:
        `count` cells, cheapest first, or as many as there are: the cheapest, the best, and between them those next to
        evenly spaced costs. One alone is the best.
    """
    left = front(with_cost(trials, cost), lambda trial: trial.cost[cost], worth_of)
    chosen: list[Trial] = []
    for place in np.linspace(left[-1].cost[cost], left[0].cost[cost], min(count, len(left))) if left else ():
        nearest = min(left, key=lambda trial: abs(trial.cost[cost] - place))
        left.remove(nearest)
        chosen.append(nearest)
    return sorted(chosen, key=lambda trial: trial.cost[cost])


def front(items: Iterable[Item], cost: Callable[[Item], float], worth: Callable[[Item], float]) -> list[Item]:
    """Select the items that no other beats in worth without costing more, cheapest first; of equals, the first."""
    chosen: list[Item] = []
    for item in sorted(items, key=lambda item: (cost(item), -worth(item))):
        if not chosen or worth(item) > worth(chosen[-1]):
            chosen.append(item)
    return chosen


def with_cost(trials: Sequence[Trial], cost: str) -> list[Trial]:
    """Select the cells of the ranking for which `cost` is known."""
    return [trial for trial in ranking(trials) if cost_of(trial, cost) is not None]


def cost_of(trial: Trial, cost: str) -> float | None:
    """Look up what a trial costs by the name of the cost, `latency` among them; None if it is not known."""
    return trial.latency if cost == "latency" else trial.cost.get(cost)


def sampled(trials: Sequence[Trial]) -> list[Trial]:
    """Select the trials of the search itself, in the order of their numbers."""
    return sorted((t for t in trials if t.number is not None), key=lambda trial: trial.number or 0)


def fixed_points(trials: Sequence[Trial]) -> list[Trial]:
    """Sum up the fixed points, one trial each: with the mean rewards, scores and times of all its seeds that ended."""
    return [_mean_trial(_successes(seeds)) for seeds in _by_fixed_point(trials).values()]


def spreads(trials: Sequence[Trial]) -> dict[str, tuple[float, int]]:
    """Compute standard deviation (of a sample) and number of the rewards of each fixed point with two seeds or more."""
    rewards = {
        name: [reward_of(trial) for trial in seeds if trial.ok] for name, seeds in _by_fixed_point(trials).items()
    }
    return {name: (float(np.std(each, ddof=1)), len(each)) for name, each in rewards.items() if len(each) > 1}


def _by_fixed_point(trials: Sequence[Trial]) -> dict[str, list[Trial]]:
    named: dict[str, list[Trial]] = {}
    for trial in trials:
        if trial.fixed_point is not None:
            named.setdefault(trial.fixed_point, []).append(trial)
    return named


def _successes(trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.ok] or [trials[0]]


def _mean_trial(trials: Sequence[Trial]) -> Trial:
    if len(trials) == 1:
        return trials[0]
    metrics = {name: float(np.mean([trial.metrics[name] for trial in trials])) for name in trials[0].metrics}
    times = [trial.latency for trial in trials if trial.latency is not None]
    return replace(
        trials[0],
        reward=float(np.mean([reward_of(trial) for trial in trials])),
        metrics=metrics,
        seconds=float(np.mean([trial.seconds for trial in trials])),
        latency=float(np.median(times)) if times else None,
    )


def reward_of(trial: Trial) -> float:
    """Return the reward of a trial. Raises ValueError for one that failed."""
    if trial.reward is None:
        raise ValueError(f"trial {trial.name} failed and has no reward")
    return trial.reward


def worth_of(trial: Trial) -> float:
    """Return the reward of a trial before its costs count, which is the reward where there is no target of cost."""
    return trial.metrics.get("worth", reward_of(trial))
