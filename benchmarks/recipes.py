"""Recipes that candidates may learn by: what each makes of the same cells, how far seeds scatter, how well it ranks.

    python benchmarks/recipes.py shapes --output shapes.csv
    python benchmarks/recipes.py camvid --output camvid.csv --data-root CAMVID --encoder-weights MOBILENET

Cells are taken from a shipped table of the problem at even steps of rank, from the 30th percentile to the best. The
reference of the ranking is each cell's mean over seeds after training four times as long by the default recipe; tau is
Kendall's, of single trainings, mean over seeds. `pick` is what rank and time are worth together: how good, in standard
deviations of cells, the best by score is of as many cells as are trained in two minutes. What stands in the output is
not trained again.
"""

import argparse
import csv
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from machine import headline
from scipy.stats import kendalltau, norm
from tabulate import tabulate
from train_cells import Part, add_places, configure, places

from baselines.fixed_points import STATIC
from nas.landscapes.catalog import TABLES
from nas.landscapes.table import read_table
from nas.settings.allocator import keep_freed_memory
from nas.settings.automatic import load_space, resolve_auto
from nas.settings.compute import resolve
from nas.settings.seeding import stream
from nas.training.candidates.evaluator import EvaluatorSpec
from nas.training.candidates.inputs import prepare
from nas.training.candidates.job import Job
from searchspace.genotype import Genotype

REFERENCE: Final = "imitation and labels, 4 times as long"
REFERENCE_SEEDS: Final = 2
BUDGET: Final = 120.0  # CPU seconds that `pick` is for
RECIPES: Final[Mapping[str, Mapping[str, Any]]] = {
    "labels alone": {"dec_weight": 0.0, "logit_weight": 0.0, "label_weight": 1.0},
    "imitation alone": {"label_weight": 0.0},
    "imitation, labels 0.3": {"label_weight": 0.3},
    "imitation, labels 1": {"label_weight": 1.0},
    REFERENCE: {"label_weight": 0.3, "epochs": 4},
    "imitation, labels 3": {"label_weight": 3.0},
    "imitation, labels 0.3, half as long": {"label_weight": 0.3, "epochs": 0.5},
    "imitation, labels 0.3, twice as long": {"label_weight": 0.3, "epochs": 2},
}
"""Settings of candidates; `epochs` is a factor of the problem's own."""


def main() -> None:
    """Train what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problem", choices=("camvid", "shapes"))
    parser.add_argument("--output", type=Path, required=True, help="CSV file of the trainings, which grows")
    parser.add_argument("--cells", type=int, default=8, help="(default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=5, help="trainings of a cell by a recipe (default: %(default)s)")
    add_places(parser)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    keep_freed_memory()
    print(headline())
    spec = prepared(arguments.problem, places(arguments))
    cells = cells_of(TABLES / f"{arguments.problem}-video.csv.gz", arguments.cells)
    train(spec, cells, arguments.seeds, arguments.output)
    print(table(read(arguments.output)))


def prepared(problem: str, settings: Mapping[str, object]) -> EvaluatorSpec:
    """Prepare the problem of the tables of cells, whatever the recipe."""
    wanted = configure(problem, Part("video", "random", 1), settings)
    compute = resolve(wanted.compute)
    return prepare(resolve_auto(wanted, compute, load_space(wanted.space)), compute).evaluator


def cells_of(table: Path, count: int) -> dict[str, Genotype]:
    """Take cells of a table at even steps of rank, by name; the last is the best."""
    content = read_table(table)
    ranked = sorted({row.key: row for row in content.searched}.values(), key=lambda row: row.reward)
    places = np.linspace(0.3, 1, count) * (len(ranked) - 1)
    return {f"rank {place:.0f}": content.space.genotype(ranked[round(place)].tokens) for place in places}


def train(spec: EvaluatorSpec, cells: Mapping[str, Genotype], seeds: int, output: Path) -> None:
    """Train each cell by each recipe with each seed, and the static network not at all, for a floor."""
    held = {(row["recipe"], row["cell"], row["seed"]) for row in read(output)}
    for recipe, change in RECIPES.items():
        own = dict(change)
        candidate = spec.candidate
        own["epochs"] = round(candidate.epochs * own.get("epochs", 1))
        evaluator = replace(spec, candidate=replace(candidate, measure_halfway=False, **own)).build()
        repeats = range(min(seeds, REFERENCE_SEEDS) if recipe == REFERENCE else seeds)
        jobs = [
            (cell, seed, Job(number=0, genotype=genotype, seed=stream(seed, cell)))
            for cell, genotype in cells.items()
            for seed in repeats
        ]
        jobs.append((STATIC, 0, Job(fixed_point=STATIC, seed=0, epochs=0)))
        for cell, seed, job in jobs:
            if (recipe, cell, str(seed)) not in held:
                start = time.process_time()
                trial = evaluator(job)
                append(output, [recipe, cell, seed, trial.reward, time.process_time() - start])


def read(path: Path) -> list[dict[str, str]]:
    """Read the trainings that there are."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file, ("recipe", "cell", "seed", "reward", "seconds")))


def append(path: Path, row: Sequence[object]) -> None:
    """Add a training to the file."""
    with path.open("a", newline="") as file:
        csv.writer(file).writerow(row)


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """Tabulate what each recipe makes of the cells."""
    rewards: dict[str, dict[str, list[float]]] = {}
    seconds: dict[str, list[float]] = {}
    for row in rows:
        rewards.setdefault(row["recipe"], {}).setdefault(row["cell"], []).append(float(row["reward"]))
        seconds.setdefault(row["recipe"], []).append(float(row["seconds"]))
    truth = [np.mean(each) for cell, each in rewards.get(REFERENCE, {}).items() if cell != STATIC]
    lines = []
    for recipe, cells in rewards.items():
        [floor] = cells[STATIC]
        trained = np.array([each for cell, each in cells.items() if cell != STATIC])
        spread = trained.std(axis=1, ddof=1).mean()
        tau = np.mean([kendalltau(truth, one).statistic for one in trained.T]) if truth else float("nan")
        best = trained.mean(axis=1).max()
        mean_seconds = float(np.mean(seconds[recipe]))
        picked = pick(float(tau), mean_seconds)
        lines.append((recipe, trained.mean(), spread, tau, best, floor, mean_seconds, picked))
    columns = ("recipe", "mean", "spread of seeds", "tau", "best cell", "static", "CPU s", "pick")
    return tabulate(lines, columns, "github", floatfmt=".3f")


def pick(tau: float, seconds: float) -> float:
    """Expect the true value, in standard deviations, of the best by score of the cells that BUDGET trains.

    Scores and true values are taken for normal with Kendall's `tau` (Greiner: Pearson's is sin(pi tau / 2)); the best
    of n is at its expected order statistic (Blom 1958).
    """
    count = BUDGET / seconds
    return float(np.sin(np.pi * tau / 2) * norm.ppf((count - 0.375) / (count + 0.25)))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
