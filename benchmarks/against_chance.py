"""Real searches of a table of cells against chance: their best reward, and the best of as many of its uniform draws.

    python benchmarks/against_chance.py nas/landscapes/tables/camvid-video.csv.gz

Nothing is predicted: all rewards are of trainings. Draws are without replacement, and p is the share of as many times
chance whose mean is at least that of the searches.
"""

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from tabulate import tabulate

from nas.landscapes.table import Row, read_table

BUDGETS: Final = (20, 40, 100, 200, 400)  # uniform draws
ORDERS: Final = 4000
MEANS: Final = 20_000
WHOLE: Final = 0.75  # share of its trials that a search must have in the table to count: repeats are not there

Values = npt.NDArray[np.float64]


def main() -> None:
    """Print what chance finds at each budget, and what the searches of each strategy do."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--trials", type=int, default=40, help="of a search that count (default: %(default)s)")
    arguments = parser.parse_args()
    rows = read_table(arguments.table).searched
    draws = np.array([row.reward for row in {row.key: row for row in reversed(rows) if is_random(row)}.values()])
    lines = [chance(draws, budget) for budget in BUDGETS if budget < len(draws)]
    print(tabulate(lines, ("uniform draws", "best", "deviation"), "github", floatfmt=".4f"))
    by_chance = best_of(draws, arguments.trials)
    print(f"\nOf {arguments.trials} draws the best has {by_chance.mean():.4f}; searches of as many trials:\n")
    searches = searches_of(rows)
    found = best_of_searches(searches, arguments.trials)
    table = [(name, len(best), best.mean(), best.std(ddof=1), p_value(by_chance, best)) for name, best in found]
    print(tabulate(table, ("strategy", "searches", "best", "deviation", "p"), "github", floatfmt=".4f"))
    for name, seed, rewards in searches:
        if len(rewards) < WHOLE * arguments.trials:
            print(
                f"left out: {name} of seed {seed}, of which the table has {len(rewards)} cells, best {max(rewards):.4f}"
            )


def is_random(row: Row) -> bool:
    """Tell whether a row is of a uniform draw."""
    return row.strategy == "random"


def chance(draws: Values, budget: int) -> tuple[int, float, float]:
    """Find the best of so many draws: the budget, mean and standard deviation over random choices of them."""
    best = best_of(draws, budget)
    return budget, float(best.mean()), float(best.std())


def best_of(draws: Values, budget: int) -> Values:
    """Return the best of `budget` draws for each of many random choices, (ORDERS,)."""
    rng = np.random.default_rng(0)
    return np.array([rng.choice(draws, budget, replace=False).max() for _ in range(ORDERS)])


def searches_of(rows: Sequence[Row]) -> list[tuple[str, int, list[float]]]:
    """Return each search that a strategy guided: its strategy, its seed, and the rewards of what it trained."""
    searches: dict[tuple[str, int], list[float]] = defaultdict(list)
    for row in rows:
        if not is_random(row):
            searches[row.strategy, row.search].append(row.reward)
    return [(*name, rewards) for name, rewards in searches.items()]


def best_of_searches(searches: Sequence[tuple[str, int, list[float]]], trials: int) -> list[tuple[str, Values]]:
    """Return the best rewards of each strategy's searches, as far as the table has them."""
    whole: dict[str, list[float]] = defaultdict(list)
    for name, _, rewards in searches:
        if len(rewards) >= WHOLE * trials:
            whole[name].append(max(rewards[:trials]))
    return [(name, np.array(best)) for name, best in whole.items() if len(best) > 1]


def p_value(by_chance: Values, best: Values) -> float:
    """Return how often as many searches by chance have a mean that is at least as high."""
    means = np.random.default_rng(1).choice(by_chance, (MEANS, len(best))).mean(1)
    return float((means >= best.mean()).mean())


if __name__ == "__main__":
    main()
