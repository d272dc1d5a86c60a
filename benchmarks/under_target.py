"""Searches of landscapes under a target of cost: at random, by `ppo` that learns costs, and by `ppo` that counts them.

    python benchmarks/under_target.py camvid --max-cost 0.5 --seeds 12

What a cell is worth is predicted (`nas.replay`), and what it costs is counted: the script stops if that is not what the
table's trainings have. Best true reward, worth times what the target leaves of it, after 20 and 40 trials; p is of a
Wilcoxon test, paired by seed, that counting finds more than learning.
"""

import argparse
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import wilcoxon
from tabulate import tabulate
from tqdm import tqdm

from cache.static.network import StaticNetwork
from nas.evaluation.counted_cells import CountedCells
from nas.landscapes.catalog import table_path
from nas.landscapes.landscape import Landscape
from nas.landscapes.search import replay
from nas.landscapes.surrogate import Surrogate
from nas.landscapes.table import Table, read_table
from nas.runs.trial import Trial
from nas.settings.automatic import load_space
from nas.settings.config import CandidateConfig, SearchConfig, SpaceConfig
from nas.strategies.catalog import make_strategy
from nas.strategies.strategy import CostAware, Strategy
from nas.training.candidates.objective import factor_of_cost
from searchspace.genotype import Genotype

PROBLEMS: Final = {"shapes": ((96, 128), 6), "camvid": ((90, 120), 11)}  # working size and classes of the tables
BUDGETS: Final = (20, 40)
LOOKAHEAD: Final = 8
KINDS: Final = ("random", "ppo, learns costs", "ppo, counts them")


class UnderTarget(Landscape):
    """Landscape of rewards under a target, over one of what cells are worth."""

    def __init__(self, worths: Landscape, counted: CountedCells, limit: float) -> None:
        self.worths, self.counted, self.limit = worths, counted, limit
        self.mean, self.spread, self.noise = worths.mean, worths.spread, worths.noise

    def value(self, cell: Genotype) -> float:
        """Find the true reward of a cell."""
        return self.worths.value(cell) * factor_of_cost(self.counted.relative_macs(cell), self.limit)

    def describe(self) -> str:
        """Return a line about it."""
        return f"{self.worths.describe()}, at most {self.limit:g} of the per-frame network's multiply-adds"


@dataclass(frozen=True)
class Told:
    """A strategy that is told, beside the reward, what the cell costs."""

    strategy: Strategy
    counted: CountedCells

    def ask(self) -> Genotype:
        """Propose what the strategy does."""
        return self.strategy.ask()

    def tell(self, trial: Trial) -> None:
        """Tell it with its cost."""
        assert trial.genotype is not None
        self.strategy.tell(replace(trial, cost={"relative_macs": self.counted.relative_macs(trial.genotype)}))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problem", choices=sorted(PROBLEMS))
    parser.add_argument("--max-cost", type=float, default=0.5, help="target (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=12, help="searches of each kind (default: %(default)s)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = read_table(table_path(arguments.problem, load_space(SpaceConfig(space="video"))))
    landscape = UnderTarget(Surrogate(table), counted_cells(arguments.problem, table), arguments.max_cost)
    found = {
        kind: np.array([best(kind, landscape, seed) for seed in tqdm(range(arguments.seeds), kind, leave=False)])
        for kind in KINDS
    }
    lines = [
        (kind, *(f"{column.mean():.3f} ± {column.std(ddof=1):.3f}" for column in best.T))
        for kind, best in found.items()
    ]
    print(tabulate(lines, (f"cost at most {arguments.max_cost:g}", *(f"best of {n}" for n in BUDGETS)), "github"))
    learnt, counted = (found[kind][:, -1] for kind in KINDS[1:])
    p = wilcoxon(counted, learnt, alternative="greater").pvalue
    print(f"counting finds more in {(counted > learnt).sum()} of {arguments.seeds} searches, p {p:.1g}")


def counted_cells(problem: str, table: Table) -> CountedCells:
    """Make what counts cells as the table's trainings were counted. Raises SystemExit if it does not."""
    size, classes = PROBLEMS[problem]
    refresh = table.facts["settings"]["data"]["refresh"]
    counted = CountedCells(StaticNetwork(classes, auxiliary=False), size, halved=True, refresh=refresh)
    for row in table.rows[:50]:
        if counted.relative_macs(table.space.genotype(row.tokens)) != row.cost["relative_macs"]:
            raise SystemExit(f"a cell of the table costs {row.cost['relative_macs']}, but is counted otherwise here")
    return counted


def best(kind: str, landscape: UnderTarget, seed: int) -> list[float]:
    """Search once; return the best true reward at each budget."""
    config = SearchConfig(
        space=SpaceConfig(space="video"),
        strategy="random" if kind == "random" else "ppo",
        seed=seed,
        candidate=CandidateConfig(max_cost=landscape.limit),
    )
    strategy = make_strategy(config, load_space(config.space))
    if kind == KINDS[-1] and isinstance(strategy, CostAware):
        strategy.know_costs(landscape.counted.relative_macs)
    trials = replay(Told(strategy, landscape.counted), landscape, BUDGETS[-1], LOOKAHEAD, seed)
    values: npt.NDArray[np.float64] = np.array([landscape.value(t.genotype) for t in trials if t.genotype is not None])
    return [float(values[:budget].max()) for budget in BUDGETS]


if __name__ == "__main__":
    main()
