"""RunStore: a run's directory, a search on disk, written by one process at a time, whose log of trials is the truth.

- `config.yaml`: the settings the run was created with.
- `inputs.yaml`: what it was computed from and is known only later, such as the fingerprint of its features, and notes.
- `strategy.pt`: what the strategy had learnt some trials ago, if it saves that; else it learns from the log anew.
- `trials.jsonl`: one line a trial, in the order of finishing, with a checksum of the rest of its line; a trial that
  `append` returned from is on disk.
- `run.lock`: held by the process that writes.
"""

import fcntl
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from xxhash import xxh3_64_hexdigest

from nas.runs.trial import Trial
from nas.settings.commands import invocation
from nas.settings.config import SearchConfig
from nas.settings.config_files import CONFIG_FILE, from_run, read_mapping, to_plain, write_mapping
from nas.settings.config_files import identity as identity_of
from nas.settings.errors import RunError
from nas.settings.signals import hold_signals

logger = logging.getLogger(__name__)

INPUTS_FILE, TRIALS, LOCK = "inputs.yaml", "trials.jsonl", "run.lock"
WAYS_OUT = "Continue with what the run has, name another directory with --run, or start a new run with --fork NAME."


class RunStore:
    """An open run directory, made by `RunStore.open`."""

    def __init__(self, directory: Path, trials: list[Trial]) -> None:
        self.directory = directory
        self._trials, self._keys = trials, {trial.key for trial in trials}

    @classmethod
    @contextmanager
    def open(cls, directory: Path, *, identity: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[Self]:
        """Create the run in `directory`, or go on with it, as its only writer until the block ends.

        Args:
            directory: made if it is absent.
            identity: the settings, nested by section, in which the run and this call must agree.
            config: all settings; saved if the run is new, or has other settings and no trial yet, otherwise the saved
                ones stay.

        Raises:
            RunError: another process writes there, the run has other settings, the log is damaged (a line that a
                crash left unfinished is not damage: it is cut), or the directory cannot be used.
        """
        with _lock(directory):
            for stale in directory.glob(".*.pt.*.tmp"):  # megabytes that a killed process left; only we write such
                stale.unlink()
            trials, length = _read_log(directory / TRIALS)
            if trials and (directory / CONFIG_FILE).exists():
                _compare(directory, identity_of(read_settings(directory)), to_plain(identity))
            elif trials:
                raise RunError(f"{directory} has trials but no {CONFIG_FILE}; restore it, or name another with --run")
            elif not _agrees(directory, to_plain(identity)):
                (directory / INPUTS_FILE).unlink(missing_ok=True)
                write_mapping(directory / CONFIG_FILE, config)
            _cut(directory / TRIALS, length)
            yield cls(directory, trials)

    @property
    def trials(self) -> Sequence[Trial]:
        """All trials of the log, in its order, which is that of finishing."""
        return self._trials

    def append(self, trial: Trial) -> None:
        """Put a trial on disk; if that fails, the log is as it was. Ctrl-C waits until it is done.

        Raises:
            OSError: the disk is full, say.
            ValueError: the log has a trial of that name, or a number is not finite.
        """
        if trial.key in self._keys:
            raise ValueError(f"trial {trial.name} is in {self.directory / TRIALS} already")
        line = _write_line(trial)
        path = self.directory / TRIALS
        length = path.stat().st_size if path.exists() else 0
        with hold_signals():
            try:
                with path.open("ab") as file:
                    file.write(line.encode())
                    file.flush()
                    os.fsync(file.fileno())
            except BaseException:  # what was not acknowledged must not stay
                _cut(path, length)
                raise
            self._trials.append(trial)
            self._keys.add(trial.key)

    def bind(self, name: str, value: str | int | float) -> None:
        """Note what the run is computed from, or, if it has trials, check that it still is.

        Raises:
            RunError: the run was computed from something else.
        """
        bound = read_inputs(self.directory)
        if name in bound and self._trials:
            _compare(self.directory, bound, {name: value})
        else:
            self.note(name, value)

    def note(self, name: str, value: str | int | float) -> None:
        """Note what changes no number, such as how the run was called, in place of what was noted before."""
        write_mapping(self.directory / INPUTS_FILE, {**read_inputs(self.directory), name: value})


def is_run(directory: Path) -> bool:
    """Tell whether a directory holds a run, and not just the `config.yaml` of some other program."""
    return (directory / CONFIG_FILE).is_file() and any((directory / file).exists() for file in (TRIALS, LOCK))


def read_config(directory: Path) -> dict[str, Any]:
    """Return the settings a run was created with, nested, as YAML holds them. Raises RunError if there is no run."""
    path = directory / CONFIG_FILE
    if not path.is_file():
        raise RunError(
            f"there is no run in {directory}: it has no {CONFIG_FILE}; `{invocation('search')} --run DIR` makes one"
        )
    return read_mapping(path)


def read_settings(directory: Path) -> SearchConfig:
    """Return the settings a run was created with; what it is too old to have is as it was then.

    Raises:
        RunError: there is no run, or its settings are damaged or of a version that is not read.
    """
    return from_run(read_config(directory), str(directory))


def read_inputs(directory: Path) -> dict[str, Any]:
    """Return what a run is computed from, and notes, by name; nothing if none is there. Raises RunError for damage."""
    path = directory / INPUTS_FILE
    return read_mapping(path) if path.exists() else {}


def read_trials(directory: Path) -> list[Trial]:
    """Return the trials of a run in the order of finishing, also while a search adds to them.

    Raises:
        RunError: there is no run, or its log is damaged.
    """
    read_config(directory)
    return _read_log(directory / TRIALS)[0]


@contextmanager
def _lock(directory: Path) -> Iterator[None]:
    """Hold the directory's lock; the system releases it however this process ends."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = (directory / LOCK).open("a")
    except OSError as error:
        raise RunError(f"no run can be written to {directory} ({error}); name another directory with --run") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(
                f"another search is writing to {directory}; wait for it, stop it, or name another directory with --run"
            ) from None
        yield


def _read_log(path: Path) -> tuple[list[Trial], int]:
    """Return the trials of a log and the length in bytes of its finished lines."""
    content = path.read_bytes() if path.exists() else b""
    length = content.rfind(b"\n") + 1  # an append ends with the newline: what follows the last one was never finished
    trials: dict[tuple[str, int | None], Trial] = {}
    for number, line in enumerate(content[:length].split(b"\n")[:-1], start=1):
        try:
            trial = _read_line(line)
        except (ValueError, TypeError, RecursionError) as error:
            raise RunError(f"{path}, line {number} is damaged ({error}); restore the file from a copy") from error
        if trial.key in trials:
            raise RunError(f"{path}, line {number} is a second trial {trial.name}; restore the file from a copy")
        trials[trial.key] = trial
    return list(trials.values()), length


def _write_line(trial: Trial) -> str:
    """Write a trial as a line of the log. Raises ValueError for a number that is not finite."""
    record = trial.to_json()
    return json.dumps(record | {"checksum": _checksum(record)}, allow_nan=False, sort_keys=True) + "\n"


def _read_line(line: bytes) -> Trial:
    """Read what `_write_line` wrote. Raises ValueError, TypeError or RecursionError for anything else."""
    record = json.loads(line)
    if not isinstance(record, dict):
        raise TypeError("it is no trial")
    checksum = record.pop("checksum", None)  # logs of earlier versions have none
    if checksum not in (None, _checksum(record)):
        raise ValueError("its checksum is wrong")
    return Trial.from_json(record)


def _checksum(record: Mapping[str, Any]) -> str:
    return xxh3_64_hexdigest(json.dumps(record, sort_keys=True).encode())


def _cut(path: Path, length: int) -> None:
    """Cut a log after `length` bytes."""
    if path.exists() and (surplus := path.stat().st_size - length):
        logger.warning("cut %d bytes of an unfinished trial from the end of %s", surplus, path)
        os.truncate(path, length)


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """List a line for each value of `now`, nested by section, that is not what it was."""
    before = dict(leaves(then))
    return [
        f"  {name}: {before.get(name, 'absent')} in the run, {value} now"
        for name, value in leaves(now)
        if name not in before or before[name] != value
    ]


def _compare(directory: Path, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise RunError if a value of `now` is not what it was."""
    if changes := differences(then, now):
        raise RunError("\n".join([f"{directory} holds a run that differs from this one:", *changes, WAYS_OUT]))


def _agrees(directory: Path, now: Mapping[str, Any]) -> bool:
    """Tell whether a directory holds settings in which nothing of `now` is different."""
    return (directory / CONFIG_FILE).exists() and not differences(identity_of(read_settings(directory)), now)


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested mappings under dotted names."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
