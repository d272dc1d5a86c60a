"""The numbers behind plots and tables: what was sampled, how rewards went, which cells are best. Computes, never draws.

All functions take trials in any order, fixed points among them, and do not need a search to have finished. A sampled
trial is one with a number. A trial that failed counts as sampled and has no reward.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from nas.runs.ranking import reward_of, sampled
from nas.runs.trial import Trial
from searchspace.genotype import INPUTS, Block, Genotype
from searchspace.space import DecisionKind, Space

EARLIER: Final = "earlier block"
"""Label of all blocks that a block may read; which of them it is depends on the block's own place."""
SMOOTHING: Final = 20
"""Number of trials that the moving mean of rewards goes over."""


@dataclass(frozen=True)
class Shares:
    """How often each choice of one kind was sampled; the shares of all choices sum to 1."""

    kind: DecisionKind
    windows: tuple[tuple[int, int], ...]
    """Numbers of the first and the last trial of each window of consecutive trials."""
    shares: Mapping[str, tuple[float, ...]]
    """Label -> share of the slots in each window; every choice of the space is there, never sampled or not."""
    overall: Mapping[str, float]
    """Label -> share of the slots in all trials."""
    expected: Mapping[str, float]
    """Label -> share of the slots if each decision were drawn uniformly."""


def sampled_shares(trials: Sequence[Trial], kind: DecisionKind, space: Space, windows: int = 40) -> Shares:
    """Count what was sampled over the search, in equal windows of at least 6 trials.

    Args:
        trials: failed and repeated ones count: they were sampled.
        kind: kind of a block's slots.
        space: space that was sampled from.
        windows: their largest number; fewer where trials are few.

    Raises:
        ValueError: no sampled trial.
    """
    cells = [(t.number, t.genotype) for t in sampled(trials) if t.number is not None and t.genotype is not None]
    if not cells:
        raise ValueError("shares need at least one sampled trial")
    edges = np.linspace(0, len(cells), max(1, min(windows, len(cells) // 6)) + 1).round().astype(int)
    parts = [cells[start:end] for start, end in pairwise(edges)]
    counts = [Counter(label for _, cell in part for label in _labels(cell, kind)) for part in parts]
    total = sum(counts, Counter())
    expected = expected_shares(kind, space)
    return Shares(
        kind=kind,
        windows=tuple((part[0][0], part[-1][0]) for part in parts),
        shares={label: tuple(count[label] / count.total() for count in counts) for label in expected},
        overall={label: total[label] / total.total() for label in expected},
        expected=expected,
    )


def expected_shares(kind: DecisionKind, space: Space) -> dict[str, float]:
    """Return label -> expected share of the slots of a kind in cells that are drawn uniformly from `space`."""
    if kind != "input":
        labels = space.vocabulary(kind)
        return dict.fromkeys(labels, 1 / len(labels))
    one_input = sum(1 / (len(space.inputs) + block) for block in range(space.blocks)) / space.blocks
    shares = dict.fromkeys(space.inputs, one_input)
    return shares | {EARLIER: 1 - one_input * len(space.inputs)} if space.blocks > 1 else shares


def _labels(cell: Genotype, kind: DecisionKind) -> list[str]:
    """List the labels of a cell's slots of one kind."""
    read: dict[DecisionKind, Callable[[Block], tuple[str, ...]]] = {
        "input": lambda block: tuple(name if name in INPUTS else EARLIER for name in block.inputs),
        "operation": lambda block: tuple(map(str, block.operations)),
        "aggregation": lambda block: (str(block.aggregation),),
    }
    return [label for block in cell.blocks for label in read[kind](block)]


@dataclass(frozen=True)
class RewardCurve:
    """Rewards in the order of sampling; the sequences run side by side over the trials that have a reward."""

    trials: tuple[Trial, ...]
    numbers: tuple[int, ...]
    rewards: tuple[float, ...]
    best: tuple[float, ...]
    """Largest reward so far, after each."""
    mean: tuple[float, ...]
    """Mean of the latest SMOOTHING rewards, after each; of fewer at the start."""
    failed: tuple[int, ...]
    """Numbers of the trials that have no reward."""


def reward_curve(trials: Sequence[Trial]) -> RewardCurve:
    """Follow the rewards of the sampled trials. Repeats count with the reward they repeat: they were sampled."""
    numbered = sampled(trials)
    done = [trial for trial in numbered if trial.ok]
    rewards = [reward_of(trial) for trial in done]
    latest = [rewards[max(0, end - SMOOTHING) : end] for end in range(1, len(rewards) + 1)]
    return RewardCurve(
        trials=tuple(done),
        numbers=_numbers(done),
        rewards=tuple(rewards),
        best=tuple(float(best) for best in np.maximum.accumulate(rewards)) if rewards else (),
        mean=tuple(sum(part) / len(part) for part in latest),
        failed=_numbers([trial for trial in numbered if not trial.ok]),
    )


def _numbers(trials: Sequence[Trial]) -> tuple[int, ...]:
    return tuple(trial.number for trial in trials if trial.number is not None)
