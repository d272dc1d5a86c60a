"""Runs that can be compared with each other: searches of one problem by several strategies and seeds."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, Final, get_args

from nas.runs.store import leaves, read_inputs, read_settings, read_trials
from nas.runs.trial import Trial
from nas.settings.commands import invocation
from nas.settings.config import SearchConfig, StrategyName
from nas.settings.config_files import identity, to_mapping
from nas.settings.errors import RunError

UNKNOWN: Final = "unknown"
SettingsOf = Callable[[str], Sequence[str]]
"""Returns the sections and settings that only strategies read, for the name of one that does."""


@dataclass(frozen=True)
class Run:
    """A search on disk."""

    directory: Path
    config: SearchConfig
    trials: tuple[Trial, ...]
    """Trials numbered from 0 on without a gap, in this order: a search that goes on may have more."""
    features: str
    """Fingerprint of the features that it was computed from, the static network included; `unknown` if not noted."""
    others: tuple[Trial, ...] = ()
    """Trials that no strategy asked for: fixed points and confirmations."""
    data: str = UNKNOWN
    """Name of the data set; of one's own, that which it has."""


def read_run(directory: Path) -> Run:
    """Read a run, finished or not. Raises RunError if there is none or it is damaged."""
    config = read_settings(directory)
    trials = read_trials(directory)
    numbered = {trial.number: trial for trial in trials if trial.number is not None}
    sampled = tuple(numbered[place] for place in takewhile(numbered.__contains__, range(len(numbered))))
    inputs = read_inputs(directory)
    others = tuple(trial for trial in trials if trial.number is None)
    features, data = str(inputs.get("features", UNKNOWN)), str(inputs.get("data", config.data.dataset))
    return Run(directory, config, sampled, features, others, data)


def require_one_problem(runs: Sequence[Run], settings_of: SettingsOf) -> None:
    """Raise RunError, with the differences, if the runs differ in more than strategies, their settings and seeds."""
    strategies = {*get_args(StrategyName), *(run.config.strategy for run in runs)}
    free = {"strategy", "seed"}.union(*map(settings_of, strategies))
    first, mine = runs[0], dict(_problem(runs[0], free))
    for run in runs[1:]:
        theirs = dict(_problem(run, free))
        changes = [
            f"  {name}: {mine[name]} in {first.directory}, {theirs[name]} in {run.directory}"
            for name in mine
            if mine[name] != theirs[name]
        ]
        if changes:
            raise RunError("\n".join(["the runs differ in more than strategy and seed:", *changes]))


def _problem(run: Run, free: Collection[str]) -> Iterator[tuple[str, Any]]:
    return ((name, value) for name, value in leaves(identity(run.config)) if name.split(".")[0] not in free)


def strategy_names(runs: Sequence[Run], settings_of: SettingsOf) -> list[str]:
    """Name the strategy of each run: `ppo`, or `ppo (ppo.entropy 0.1)` if others have another entropy.

    Raises:
        RunError: two runs have the same name and seed, and so are the same search.
    """
    names: list[str] = []
    searches: dict[tuple[str, int], Path] = {}
    for run in runs:
        read = settings_of(run.config.strategy)
        peers = [dict(_settings(peer, read)) for peer in runs if peer.config.strategy == run.config.strategy]
        own = [f"{name} {value}" for name, value in _settings(run, read) if any(peer[name] != value for peer in peers)]
        names.append(run.config.strategy + (f" ({', '.join(own)})" if own else ""))
        search = (names[-1], run.config.seed)
        if search in searches:
            raise RunError(
                f"{searches[search]} and {run.directory} are both {search[0]} with seed {search[1]}: the same search, "
                "which counts once; leave one out"
            )
        searches[search] = run.directory
    return names


def _settings(run: Run, read: Collection[str]) -> Iterator[tuple[str, Any]]:
    return ((name, value) for name, value in leaves(to_mapping(run.config)) if name.split(".")[0] in read)


def budget(runs: Sequence[Run], trials: int | None) -> int:
    """Return how many trials of each run are compared: `trials`, or as many as every run has.

    Raises:
        RunError: a run has none, or fewer than `trials`.
    """
    shortest = min(runs, key=lambda run: len(run.trials))
    held = len(shortest.trials)
    if trials is not None and not trials >= 1:
        raise RunError(f"trials must be at least 1, but got {trials}")
    if held < (trials or 1):
        fewer = f", or compare with --trials {held}" if held else ""
        raise RunError(
            f"{shortest.directory} has {held} trials, fewer than {trials or 1}; continue it with "
            f"`{invocation('search')} --run {shortest.directory} --trials N`{fewer}"
        )
    return trials or held
