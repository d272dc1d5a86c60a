"""Early stopping rules, replayed on a table of cells with half-way scores: what random search finds for its time.

    python benchmarks/early_stopping.py TABLE.csv.gz [--orders 2000]

Uniformly drawn cells come in random orders. One that is stopped half-way costs half of one that goes on. Written is the
best final reward after so many trainings' worth of time, mean over the orders, and how many cells were seen by then.
A rule sees half-way scores, and final ones of what it let go on, of cells before; the first 8 cells all go on.
"""

import argparse
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from machine import headline
from scipy.stats import kendalltau
from tabulate import tabulate

from nas.landscapes.table import Row, read_table
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
    parser.add_argument("--orders", type=int, default=2000, help="random orders (default: %(default)s)")
    arguments = parser.parse_args()
    cells = {row.key: row for row in reversed(read_table(arguments.table).searched) if row.strategy == "random"}
    rows = [row for row in cells.values() if row.halfway_reward is not None]
    print(headline())
    tau = kendalltau([row.halfway_reward for row in rows], [row.reward for row in rows]).statistic
    print(f"{len(rows)} uniformly drawn cells; half-way and final rewards: Kendall's tau {tau:.2f}")
    lines = [[name, *measure(rows, make, arguments.orders)] for name, make in RULES.items()]
    print(tabulate(lines, ["rule", *(f"best of {budget}" for budget in BUDGETS), "cells"], "github", floatfmt=".4f"))


def measure(rows: Sequence[Row], make: Callable[[int], Rule], orders: int) -> list[float]:
    """Measure a rule: means over the orders of the best final reward at each budget, and of the cells seen at the last.

    Cells are drawn with replacement, so that a rule that stops many never runs out of them.
    """
    results = []
    for order in range(orders):
        drawn = np.random.default_rng(order).integers(len(rows), size=2 * max(BUDGETS) + 1)
        results.append(_search([rows[place] for place in drawn], make(order)))
    return [float(value) for value in np.mean(results, 0)]


def _search(rows: Sequence[Row], rule: Rule) -> list[float]:
    spent, best = 0.0, 0.0
    found: list[float] = []
    seen: list[tuple[float, float | None]] = []
    for row in rows:
        assert row.halfway_reward is not None
        goes_on = len(seen) < WARM_UP or rule(seen, row.halfway_reward)
        spent += 1.0 if goes_on else 0.5
        found += [best] * (sum(spent > budget for budget in BUDGETS) - len(found))
        if len(found) == len(BUDGETS):
            return [*found, float(len(seen))]
        best = max(best, row.reward) if goes_on else best
        seen.append((row.halfway_reward, row.reward if goes_on else None))
    raise AssertionError("a cell costs half a training at least")


if __name__ == "__main__":
    main()
