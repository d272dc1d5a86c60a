"""Random search beside a search: what it finds at the same budget, where runs of the same problem know it."""

from collections.abc import Iterator, Sequence
from math import comb
from pathlib import Path

from nas.runs.comparable import UNKNOWN, Run, SettingsOf, read_run, require_one_problem
from nas.settings.config_files import CONFIG_FILE
from nas.settings.errors import RunError


def sister_runs(run: Run, settings_of: SettingsOf) -> list[Run]:
    """Find the other runs in the folder of `run` that search the same problem, of the same features, at random.

    Damaged runs and those with fewer trials than `run` are passed over: they know nothing of this budget. A random
    search has none beside it.
    """
    if run.config.strategy == "random":
        return []
    return [each for each in _others(run.directory) if _is_sister(run, each, settings_of)]


def _others(directory: Path) -> Iterator[Run]:
    for path in sorted(directory.resolve().parent.glob(f"*/{CONFIG_FILE}")):
        if path.parent != directory.resolve():
            try:
                yield read_run(path.parent)
            except (RunError, OSError):  # of another version or another person: this command is not about that run
                continue


def _is_sister(run: Run, other: Run, settings_of: SettingsOf) -> bool:
    if (
        other.config.strategy != "random"
        or other.features != run.features
        or run.features == UNKNOWN
        or len(other.trials) < len(run.trials)
    ):
        return False
    try:
        require_one_problem([run, other], settings_of)
    except RunError:
        return False
    return True


def expected_best(rewards: Sequence[float], budget: int) -> float:
    """Compute the expected largest of `budget` rewards that are drawn from `rewards` without replacement.

    Exact: the i-th smallest of n is the largest in C(i - 1, budget - 1) of the C(n, budget) draws.

    Raises:
        ValueError: the budget is none, or more than there are.
    """
    if not 1 <= budget <= len(rewards):
        raise ValueError(f"a budget of {budget} cannot be drawn from {len(rewards)} rewards")
    ways = comb(len(rewards), budget)
    return sum(comb(place, budget - 1) / ways * reward for place, reward in enumerate(sorted(rewards)))
