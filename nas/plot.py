"""`python -m nas.plot`: pictures of a run, and their numbers."""

import logging
from dataclasses import dataclass
from pathlib import Path

from nas.runs.command_line import run_command
from nas.runs.config import SearchConfig
from nas.runs.config_files import from_mapping
from nas.runs.store import read_config, read_trials
from searchspace.space import Space

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Draw a run, finished or not: rewards, what was sampled over time, reward against cost, the best cells."""

    run: Path
    """Directory of the run; pictures (PNG, SVG) and numbers (CSV) go into its folder `plots`."""


def main(arguments: Arguments) -> None:
    """Draw what `arguments.run` holds so far. Raises RunError if that is no run or holds nothing to draw."""
    from nas.reporting.plots import make_plots  # loads matplotlib, which --help need not wait for

    settings = from_mapping(SearchConfig, read_config(arguments.run), str(arguments.run)).space
    for path in make_plots(arguments.run, read_trials(arguments.run), Space.load(settings.space, settings.blocks)):
        log.info("%s", path)


if __name__ == "__main__":
    run_command("nas.plot", Arguments, None, main)
