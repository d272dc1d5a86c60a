"""`python -m nas.plot`: pictures of a run, and their numbers."""

import logging
from dataclasses import dataclass
from pathlib import Path

from nas.runs.store import read_config, read_trials
from nas.settings.command_line import run_command
from nas.settings.config import SearchConfig
from nas.settings.config_files import from_mapping
from searchspace.space import Space

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
    # These load matplotlib, for which --help need not wait.
    from nas.reporting.search.page import write_html
    from nas.reporting.search.plots import make_plots

    settings = from_mapping(SearchConfig, read_config(arguments.run), str(arguments.run)).space
    trials = read_trials(arguments.run)
    plots = make_plots(arguments.run, trials, Space.load(settings.space, settings.blocks))
    for path in [*plots, write_html(arguments.run, trials, [path for path in plots if path.suffix == ".svg"])]:
        log.info("%s", path)


if __name__ == "__main__":
    run_command("nas.plot", Arguments, None, main)
