"""`python -m nas.list_runs`: what runs there are, of which data, how far, how good and how old."""

import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tyro.conf import Positional

from nas.runs.comparable import Run, read_run
from nas.runs.progress import duration
from nas.runs.ranking import ranking, reward_of
from nas.runs.store import TRIALS
from nas.settings.command_line import run_command
from nas.settings.commands import invocation
from nas.settings.config_files import CONFIG_FILE
from nas.settings.errors import RunError
from nas.settings.wording import wording

log = logging.getLogger(__name__)

HEADERS: Final = ("run", "data", "strategy", "seed", "trials", "best", "reward", "score", "retrained", "last trial")


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """List the runs of a folder, the one that was written to last on top.

    Trials are those recorded of those asked for. Best is the trial with the highest reward, on meta-val; the score is
    its mIoU, or on a video without masks its agreement with the network that labels it.
    """

    folder: Positional[Path] = Path("runs")
    """Where runs lie; folders in it are looked through, too."""


def main(arguments: Arguments) -> None:
    """Print one line a run. Raises RunError if there is none."""
    from tabulate import tabulate  # --help need not wait for it

    directories = [path.parent for path in arguments.folder.glob(f"**/{CONFIG_FILE}")]
    if not directories:
        raise RunError(
            f"there is no run in {arguments.folder}; `{invocation('search')}` makes one, or name another folder"
        )
    lines = []
    for directory in sorted(directories, key=_written, reverse=True):
        try:
            lines.append(_line(read_run(directory)))
        except RunError as error:
            log.warning("left out: %s", error)
    print(tabulate(lines, HEADERS, "simple", disable_numparse=True))


def _line(run: Run) -> tuple[object, ...]:
    """Fill in one row under `HEADERS`."""
    best = next(iter(ranking(run.trials)), None)
    worth = ("-", "-", "-")
    if best is not None:
        words = wording(run.config.data.dataset)
        score = 100 * best.metrics.get(words.search[f"{words.miou} %"], math.nan)
        worth = (best.name, f"{reward_of(best):.4f}", f"{words.miou} {score:.1f} %")
    return (
        *(run.directory, run.data, run.config.strategy, run.config.seed),
        *(f"{len(run.trials)}/{max(len(run.trials), run.config.trials)}", *worth),  # a later call may ask for more
        _retrained(run.directory) or "-",
        f"{duration(time.time() - _written(run.directory))} ago",
    )


def _retrained(directory: Path) -> int:
    """Count the networks that were trained to the end: a training that goes on leaves its best so far, too."""
    from nas.training.saved_training import is_unfinished  # loads torch

    return sum(not is_unfinished(network.parent) for network in directory.glob("retrained/*/network.pt"))


def _written(directory: Path) -> float:
    """Find when the last trial was recorded, or the run created; seconds since the epoch."""
    trials = directory / TRIALS
    return (trials if trials.exists() else directory / CONFIG_FILE).stat().st_mtime


if __name__ == "__main__":
    run_command("nas.list_runs", Arguments, None, main)
