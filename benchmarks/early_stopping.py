"""Early stopping rules, replayed on a table of cells with half-way scores: what random search finds for its time.

    python benchmarks/early_stopping.py TABLE.csv.gz [--orders 2000]
    python benchmarks/early_stopping.py TABLE.csv.gz --strategy ppo --orders 20

Uniformly drawn cells come in random orders. One that is stopped half-way costs half of one that goes on. Written is the
best final reward after so many trainings' worth of time, mean over the orders, and how many cells were seen by then.
A rule sees half-way scores, and final ones of what it let go on, of cells before; the first 8 cells all go on.

With --strategy cells are what it asks for, and worth what the surrogate of the table says: their half-way reward is a
line through their final one, with noise as in the table, and of one that is stopped that is what the strategy is told,
as in a search.
"""

import argparse
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from machine import headline
from scipy.stats import kendalltau
from tabulate import tabulate

from nas.landscapes.search import reward_of
from nas.landscapes.surrogate import Surrogate
from nas.landscapes.table import Row, read_table
from nas.runs.trial import Trial
from nas.settings.config import SearchConfig
from nas.strategies.catalog import make_strategy
from nas.training.candidates.early_stopping import WARM_UP, EarlyStopping

BUDGETS: Final = (10, 20, 40)  # times of a whole training
Seen = Sequence[tuple[float, float | None]]
"""Half-way reward and, unless it was stopped, final reward of each cell before."""
Rule = Callable[[Seen, float], bool]
"""Says whether a cell with this half-way reward goes on."""


def best_share(share: float) -> Rule:
    """Make the rule of successive halving, one at a time (ASHA, Li et al. 2020): the best so far half-way go on."""
    return lambda seen, halfway: halfway >= np.quantile([before for before, _ in seen], 1 - share)


def may_be_best(deviations: float) -> Rule:
    """Make the rule that predicts the final reward from the half-way one, by a line through those known."""

    def rule(seen: Seen, halfway: float) -> bool:
        early, late = np.array([(before, after) for before, after in seen if after is not None]).T
        slope, offset = np.polyfit(early, late, 1)
        missed = np.std(late - slope * early - offset, ddof=2)
        return bool(slope * halfway + offset + deviations * missed >= late.max())

    return rule


def paper(seed: int) -> Rule:
    """Make the rule of Nekrasov et al., CVPR 2019."""
    draws = random.Random(seed)

    def rule(seen: Seen, halfway: float) -> bool:
        stopping = EarlyStopping()
        for before, _ in seen:
            stopping.observe(before)
        return stopping.halfway(draws.getrandbits(32)).keeps_going(halfway)

    return rule


RULES: Final[dict[str, Callable[[int], Rule]]] = {
    "none": lambda _: lambda seen, halfway: True,
    "paper": paper,
    "best half": lambda _: best_share(1 / 2),
    "best quarter": lambda _: best_share(1 / 4),
    "predicted + 1 sd": lambda _: may_be_best(1.0),
    "predicted + 2 sd": lambda _: may_be_best(2.0),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--orders", type=int, default=2000, help="random orders, or searches (default: %(default)s)")
    parser.add_argument("--strategy", help="what asks for cells, instead of orders of those in the table")
    arguments = parser.parse_args()
    table = read_table(arguments.table)
    cells = {row.key: row for row in reversed(table.searched) if row.strategy == "random"}
    rows = [row for row in cells.values() if row.halfway_reward is not None]
    print(headline())
    tau = kendalltau([row.halfway_reward for row in rows], [row.reward for row in rows]).statistic
    print(f"{len(rows)} uniformly drawn cells; half-way and final rewards: Kendall's tau {tau:.2f}")
    surrogate = Surrogate(table) if arguments.strategy else None

    def source(order: int) -> Cells:
        if surrogate is None:
            return Drawn(rows, order)
        return Asked(arguments.strategy, surrogate, rows, order)

    lines = [[name, *measure(source, make, arguments.orders)] for name, make in RULES.items()]
    print(tabulate(lines, ["rule", *(f"best of {budget}" for budget in BUDGETS), "cells"], "github", floatfmt=".4f"))


class Cells(Protocol):
    """Where the cells of a search come from."""

    def __iter__(self) -> Iterator[tuple[float, float, float]]:
        """Yield the half-way and the final reward of one cell after the other, and what it is truly worth."""

    def tell(self, reward: float) -> None:
        """Tell the reward of the latest cell: the half-way one if it was stopped."""


class Drawn:
    """Uniformly drawn cells of a table, with replacement, so that a rule that stops many never runs out of them."""

    def __init__(self, rows: Sequence[Row], order: int) -> None:
        self._rows, self._rng = rows, np.random.default_rng(order)

    def __iter__(self) -> Iterator[tuple[float, float, float]]:
        while True:
            row = self._rows[int(self._rng.integers(len(self._rows)))]
            assert row.halfway_reward is not None
            yield row.halfway_reward, row.reward, row.reward

    def tell(self, reward: float) -> None: ...


class Asked:
    """Cells that a strategy asks for, one at a time."""

    def __init__(self, strategy: str, surrogate: Surrogate, rows: Sequence[Row], order: int) -> None:
        config = SearchConfig(strategy=strategy, seed=order, trials=2 * max(BUDGETS))
        self._strategy, self._surrogate, self._order = make_strategy(config, surrogate.space), surrogate, order
        final, early = np.array([(row.reward, row.halfway_reward) for row in rows]).T
        self._slope, self._offset = np.polyfit(final, early, 1)
        self._missed = float(np.std(early - self._slope * final - self._offset, ddof=2))

    def __iter__(self) -> Iterator[tuple[float, float, float]]:
        for number in range(2 * max(BUDGETS) + 1):
            self._number, self._cell = number, self._strategy.ask()
            final = reward_of(self._surrogate, self._cell, self._order)
            noise = np.random.default_rng([self._order, number]).standard_normal()
            early = self._slope * final + self._offset + self._missed * noise
            yield float(np.clip(early, 0, 1)), final, self._surrogate.value(self._cell)

    def tell(self, reward: float) -> None:
        self._strategy.tell(Trial(number=self._number, genotype=self._cell, status="finished", reward=reward))


def measure(source: Callable[[int], Cells], make: Callable[[int], Rule], orders: int) -> list[float]:
    """Measure a rule: means over the orders of the best final reward at each budget, and of the cells seen at the last.

    Of a strategy's cells the best is of what they are truly worth, without noise.
    """
    results = [_search(source(order), make(order)) for order in range(orders)]
    return [float(value) for value in np.mean(results, 0)]


def _search(cells: Cells, rule: Rule) -> list[float]:
    spent, best = 0.0, 0.0
    found: list[float] = []
    seen: list[tuple[float, float | None]] = []
    for halfway, final, worth in cells:
        goes_on = len(seen) < WARM_UP or rule(seen, halfway)
        spent += 1.0 if goes_on else 0.5
        found += [best] * (sum(spent > budget for budget in BUDGETS) - len(found))
        if len(found) == len(BUDGETS):
            return [*found, float(len(seen))]
        best = max(best, worth) if goes_on else best
        seen.append((halfway, final if goes_on else None))
        cells.tell(final if goes_on else halfway)
    raise AssertionError("a cell costs half a training at least")


if __name__ == "__main__":
    main()
