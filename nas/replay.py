"""`python -m nas.replay`: what strategies find where the worth of every cell is known, in seconds a search."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from nas.landscapes.search import Found
from nas.settings.automatic import load_space
from nas.settings.command_line import run_command
from nas.settings.config import SearchConfig, SpaceConfig
from nas.settings.errors import require
from nas.settings.strategy_config import ControllerConfig, EvolutionConfig, PPOConfig, PredictorConfig

BUDGETS = (40, 100, 200, 400)  # trials after which a search is looked at, beside its end


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Replay searches on a landscape: no cell is trained, so that strategies can be compared over many seeds.

    Values are standard deviations above the mean of uniformly drawn cells, mean and spread over seeds.
    """

    strategies: Annotated[tuple[str, ...], arg(name="strategy")] = ("random", "ppo", "evolution")
    """Strategies to compare; the first one is what the others are tested against."""
    landscape: str = "made-up"
    """`shapes` and `camvid`, where a predictor knows what cells are worth from a table of trained ones; a table of your
    own, NAME.csv.gz (see nas.gather); or made up: `made-up` (effects of tokens and pairs), `rugged` (half of the
    variance from triples of tokens)."""
    trials: int = 200
    """Trials of a search."""
    seeds: int = 10
    """Searches of each strategy; each has a made-up landscape of its own, or noise of its own."""
    lookahead: int = 8
    """Trials that may be asked for before the oldest of them is told."""
    processes: int = 1
    """Searches at the same time."""
    output: Path | None = None
    """CSV file with a line for each search."""
    curves: Path | None = None
    """Folder for a picture of the best values found so far, as curves.png, .svg and .csv."""
    space: Annotated[SpaceConfig, arg(name="")] = field(default_factory=SpaceConfig)
    controller: ControllerConfig = field(default_factory=ControllerConfig)
    ppo: PPOConfig = field(default_factory=PPOConfig)
    predictor: PredictorConfig = field(default_factory=PredictorConfig)
    evolution: EvolutionConfig = field(default_factory=EvolutionConfig)

    def __post_init__(self) -> None:
        once = len(set(self.strategies)) == len(self.strategies)
        require(once, "strategy must name each once", " ".join(self.strategies))
        require(self.seeds >= 2, "seeds must be at least 2, for a spread", self.seeds)
        require(self.processes >= 1, "processes must be at least 1", self.processes)

    @property
    def search(self) -> SearchConfig:
        """Settings of a search that are the same for all."""
        return SearchConfig(
            space=self.space,
            controller=self.controller,
            ppo=self.ppo,
            predictor=self.predictor,
            evolution=self.evolution,
            trials=self.trials,
            lookahead=self.lookahead,
        )

    @property
    def budgets(self) -> tuple[int, ...]:
        """Numbers of trials after which searches are looked at; the last one is their end."""
        return (*(budget for budget in BUDGETS if budget < self.trials), self.trials)


@dataclass(frozen=True)
class Replayed(Found):
    """One search, whose it was, and the processor's seconds that it took."""

    strategy: str
    seed: int
    seconds: float


def main(arguments: Arguments) -> None:
    """Replay all searches, print the table, and write the CSV file if one is asked for."""
    from nas.landscapes.catalog import make_landscape
    from nas.reporting.tabular import write_csv
    from nas.strategies.catalog import make_strategy

    space = load_space(arguments.space)
    print(make_landscape(arguments.landscape, space, 0).describe())
    for name in arguments.strategies:  # so that what is wrong is said before anything is replayed
        make_strategy(replace(arguments.search, strategy=name), space)
    jobs = [(arguments, name, seed) for name in arguments.strategies for seed in range(arguments.seeds)]
    with ProcessPoolExecutor(arguments.processes, get_context("spawn")) as processes:
        searches = list(processes.map(_replay, *zip(*jobs, strict=True)))
    print(table(arguments, searches))
    if arguments.output is not None:
        write_csv(arguments.output, rows(arguments.budgets, searches))
    if arguments.curves is not None:
        from nas.reporting.comparison.replayed import curves_plot

        groups = {name: [each.curve for each in group] for name, group in by_strategy(arguments, searches).items()}
        curves_plot(groups, arguments.landscape).save(arguments.curves)


def _replay(arguments: Arguments, name: str, seed: int) -> Replayed:
    """Replay one search, in a process of its own."""
    import torch

    from nas.landscapes.catalog import make_landscape
    from nas.landscapes.search import replay, summarise
    from nas.strategies.catalog import make_strategy

    torch.set_num_threads(1)
    space = load_space(arguments.space)
    landscape = make_landscape(arguments.landscape, space, seed)
    strategy = make_strategy(replace(arguments.search, strategy=name, seed=seed), space)
    start = time.process_time()
    trials = replay(strategy, landscape, arguments.trials, arguments.lookahead, seed)
    seconds = time.process_time() - start
    found = summarise(landscape, trials, arguments.budgets)
    return Replayed(**vars(found), strategy=name, seed=seed, seconds=seconds)


def table(arguments: Arguments, searches: Sequence[Replayed]) -> str:
    """Write a line for each strategy: mean and spread at each budget, and p of a test against the first one."""
    from nas.reporting.tabular import aligned_table

    by_name = by_strategy(arguments, searches)
    reference = by_name[arguments.strategies[0]]
    headers = ["strategy", *(f"best of {budget}" for budget in arguments.budgets)]
    lines = [[name, *cells(arguments, group, reference), *means(group)] for name, group in by_name.items()]
    return aligned_table([*headers, "chosen", "last 20", "cells", "seconds"], lines, "github")


def by_strategy(arguments: Arguments, searches: Sequence[Replayed]) -> dict[str, list[Replayed]]:
    """Group searches by their strategies, in the order of the command line."""
    return {name: [each for each in searches if each.strategy == name] for name in arguments.strategies}


def cells(arguments: Arguments, group: Sequence[Replayed], reference: Sequence[Replayed]) -> Iterator[str]:
    """Write the best value at each budget, with the p of a Mann-Whitney test against another strategy's searches."""
    from scipy.stats import mannwhitneyu

    from nas.reporting.tabular import spread

    for budget in arguments.budgets:
        ours, theirs = ([each.curve[budget - 1] for each in some] for some in (group, reference))
        mean, deviation = spread(ours)
        tested = "" if group is reference else f" (p {mannwhitneyu(ours, theirs).pvalue:.1g})"
        yield f"{mean:.2f} ± {deviation:.2f}{tested}"


def means(group: Sequence[Replayed]) -> Iterator[str]:
    """Write the means of what is known of a search at its end."""
    count = len(group)
    yield f"{sum(each.chosen[-1] for each in group) / count:.2f}"
    yield f"{sum(each.late for each in group) / count:.2f}"
    yield f"{sum(each.different for each in group) / count:.0f}"
    yield f"{sum(each.seconds for each in group) / count:.1f}"


def rows(budgets: Sequence[int], searches: Sequence[Replayed]) -> Iterator[Sequence[object]]:
    """Yield the rows of the CSV file, one a search after the header."""
    values = [f"{what} of {budget}" for what in ("best", "chosen") for budget in budgets]
    yield "strategy", "seed", *values, "last 20", "cells", "seconds"
    for each in searches:
        best = [each.curve[budget - 1] for budget in budgets]
        yield each.strategy, each.seed, *best, *each.chosen, each.late, each.different, each.seconds


if __name__ == "__main__":
    run_command("nas.replay", Arguments, None, main)
