"""A search whose cells are looked up in a landscape instead of trained: seconds instead of days."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas.landscapes.landscape import Landscape
from nas.runs.trial import Trial
from nas.settings.seeding import stream
from nas.strategies.strategy import Strategy
from searchspace.genotype import Genotype


def reward_of(landscape: Landscape, cell: Genotype, seed: int) -> float:
    """Draw the reward of a trial in [0, 1]: the cell's true value and noise of its own, the same for equal cells."""
    noise = np.random.default_rng(stream(seed, "noise", cell.key)).standard_normal()
    return float(np.clip(landscape.value(cell) + landscape.noise * noise, 0, 1))


def replay(strategy: Strategy, landscape: Landscape, trials: int, lookahead: int, seed: int) -> list[Trial]:
    """Let a strategy search a landscape, as `nas.search` would let it.

    Trial n is asked for exactly between tell(n - L) and tell(n - L + 1), L being the look-ahead, and a cell that was
    asked for before keeps its first result.
    """
    asked: list[Trial] = []
    first: dict[str, Trial] = {}
    for told in range(trials):
        while len(asked) < min(told + lookahead, trials):
            number, cell = len(asked), strategy.ask()
            original = first.get(cell.key)
            reward = reward_of(landscape, cell, seed) if original is None else original.reward
            repeat = None if original is None else original.number
            asked.append(Trial(number=number, genotype=cell, status="finished", reward=reward, repeat_of=repeat))
            first.setdefault(cell.key, asked[-1])
        strategy.tell(asked[told])
    return asked


@dataclass(frozen=True)
class Found:
    """Results of one replayed search, in standard deviations above the mean of uniformly drawn cells."""

    curve: tuple[float, ...]
    """Best true value among the trials so far, after each of them."""
    chosen: tuple[float, ...]
    """True value of the cell with the best reward so far, at each budget: what a person would take home."""
    late: float
    """Mean true value of the last 20 trials."""
    different: int
    """Number of different cells."""


def summarise(landscape: Landscape, trials: Sequence[Trial], budgets: Sequence[int]) -> Found:
    """Score a search by true values. A repeated cell has the value of its first trial, like its reward."""
    values: list[float] = []
    for trial in trials:
        assert trial.genotype is not None
        values.append(landscape.value(trial.genotype) if trial.repeat_of is None else values[trial.repeat_of])
    above = (np.array(values) - landscape.mean) / landscape.spread
    rewards = np.array([trial.reward for trial in trials])
    return Found(
        curve=tuple(np.maximum.accumulate(above).tolist()),
        chosen=tuple(float(above[rewards[:budget].argmax()]) for budget in budgets),
        late=float(above[-20:].mean()),
        different=len({trial.genotype.key for trial in trials if trial.genotype is not None}),
    )
