"""`python -m nas.compare`: whether one strategy's searches beat another's at equal budget."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path

from tyro.conf import Positional

from nas.reporting.comparison.numbers import CURVES, Search, measures, summarise
from nas.runs.comparable import UNKNOWN, Run, budget, read_run, require_one_problem, strategy_names
from nas.runs.confirmation import best_confirmed, confirmed_depth
from nas.runs.trial import Trial
from nas.settings.command_line import run_command
from nas.settings.errors import RunError
from nas.strategies.catalog import settings_of


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Compare strategies by their searches of several seeds each, at equal budget: the same number of trials.

    The runs may differ in strategy, seed and the strategy's settings, and in nothing else that could change a reward.
    """

    runs: Positional[tuple[Path, ...]]
    """Directories of searches, finished or not, in any order."""
    trials: int | None = None
    """The budget; by default as many trials as the shortest run has."""
    output: Path | None = None
    """Folder for comparison.md, curves (PNG, SVG) and numbers (CSV); by default `comparison` beside the first run."""

    def __post_init__(self) -> None:
        if not self.runs:
            raise RunError("name the directories of the runs to compare")


def main(arguments: Arguments) -> None:
    """Write the comparison and print it.

    Raises:
        RunError: a directory holds no run, the runs are no searches of one problem, two are the same search, or one
            has fewer trials than the budget or no reward among them.
    """
    # These load matplotlib, for which --help and a bad flag need not wait.
    from cache.atomic import write_text
    from nas.reporting.comparison.figure import comparison
    from nas.reporting.comparison.report import comparison_report
    from nas.reporting.plot import Plot
    from nas.reporting.tabular import write_csv

    runs = [read_run(directory) for directory in arguments.runs]
    require_one_problem(runs, settings_of)
    names, trials = strategy_names(runs, settings_of), budget(runs, arguments.trials)
    depth = min(confirmed_depth(within(run, trials)) for run in runs)
    searches = [summarise_run(name, run, trials, depth) for name, run in zip(names, runs, strict=True)]
    rows = list(search_rows(runs, searches))
    text = comparison_report(
        [budget_fact(runs, trials), static_fact(runs, names), confirmed_fact(depth)], searches, rows
    )
    output = arguments.output or arguments.runs[0].parent / "comparison"
    Plot("curves", comparison(searches), list(curve_rows(searches))).save(output)
    write_csv(output / "searches.csv", rows)
    write_text(output / "comparison.md", text)
    print(f"{text}\nReport, curves and numbers: {output}")


def within(run: Run, trials: int) -> list[Trial]:
    """Select the first `trials` trials of a run, and those that no strategy asked for."""
    return [*run.trials[:trials], *run.others]


def summarise_run(name: str, run: Run, trials: int, depth: int) -> Search:
    """Sum up the first `trials` trials of a run, whose `depth` best cells are confirmed.

    Raises:
        RunError: none of the trials has a reward.
    """
    confirmed = best_confirmed(within(run, trials), depth) if depth else nan
    try:
        return summarise(name, run.config.seed, run.trials[:trials], confirmed)
    except ValueError as error:
        raise RunError(f"{run.directory} cannot be compared: {error}") from error


def budget_fact(runs: Sequence[Run], trials: int) -> str:
    """Say how many trials are compared, and of how many runs these are not all."""
    cut = sum(len(run.trials) > trials for run in runs)
    rest = f"{cut} of {len(runs)} runs have more and are cut" if cut else "no run is cut"
    return f"budget: the first {trials} trials of each run; {rest}"


def confirmed_fact(depth: int) -> str:
    """Say whose confirmed rewards are compared, if any are."""
    if not depth:
        return "confirmed rewards: not compared, as some run has not confirmed its best cell within the budget"
    return f"confirmed rewards: of the {depth} best cells of each run within the budget"


def static_fact(runs: Sequence[Run], names: Sequence[str]) -> str:
    """Say whether static networks, whose quality moves every reward, are mixed up with strategies."""
    used = defaultdict(list)
    for name, run in zip(names, runs, strict=True):
        used[name].append(run.features)
    different = len({run.features for run in runs})
    if unknown := sum(run.features == UNKNOWN for run in runs):
        return f"static networks: {unknown} of {len(runs)} runs do not say theirs, so that a difference may be theirs"
    if different == 1:
        return "static network: the same for all runs"
    remedy = "runs with one --checkpoint would be rid of that"
    if len({tuple(sorted(features)) for features in used.values()}) == 1:
        return f"static networks: {different}, the same ones for every strategy; they widen the spread, and {remedy}"
    return f"static networks: {different}, NOT the same ones for every strategy: a difference may be theirs; {remedy}"


def curve_rows(searches: Sequence[Search]) -> Iterable[Sequence[object]]:
    """Yield a header, and a row a trial of each search."""
    yield "strategy", "seed", "trial", *CURVES
    for search in searches:
        for trial, values in enumerate(zip(*(getattr(search, curve) for curve in CURVES), strict=True)):
            yield search.strategy, search.seed, trial, *values


def search_rows(runs: Sequence[Run], searches: Sequence[Search]) -> Iterable[Sequence[object]]:
    """Yield a header, and a row a search; `trials` counts all of the run, those beyond the budget too."""
    yield "run", "strategy", "seed", "trials", "trained", *measures(searches), "late"
    for run, each in zip(runs, searches, strict=True):
        values = [getattr(each, measure) for measure in measures(searches)]
        yield run.directory, each.strategy, each.seed, len(run.trials), each.trained, *values, each.late


if __name__ == "__main__":
    run_command("nas.compare", Arguments, None, main)
