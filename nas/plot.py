"""`python -m nas.plot`: pictures of a run, and their numbers."""

import logging
from dataclasses import dataclass
from pathlib import Path

from nas.runs.ranking import sampled
from nas.runs.store import read_trials
from nas.settings.command_line import run_command
from nas.settings.errors import RunError

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Draw a run, finished or not: rewards, what was sampled over time, reward against cost, the best cells.

    Pictures, tables and links to the networks retrained so far stand together in its `report.html`, one file.
    """

    run: Path
    """Directory of the run; pictures (PNG, SVG) and numbers (CSV) go into its folder `plots`."""


def main(arguments: Arguments) -> None:
    """Draw what `arguments.run` holds so far. Raises RunError if that is no run or holds nothing to draw."""
    from nas.reporting.search.report import redraw  # loads matplotlib, for which --help need not wait

    if not sampled(read_trials(arguments.run)):
        raise RunError(
            f"{arguments.run} holds no sampled trial yet, so there is nothing to draw; run nas.search on it first"
        )
    for path in redraw(arguments.run):
        log.info("%s", path)


if __name__ == "__main__":
    run_command("nas.plot", Arguments, None, main)
