"""`python -m nas.gather`: the trained cells of searches as one table, to replay searches on."""

import platform
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tyro.conf import Positional

from nas.landscapes.table import Row, Table, trained_cells, write_table
from nas.reporting.provenance import version_of
from nas.runs.comparable import UNKNOWN, read_run, require_one_problem
from nas.settings.automatic import load_space
from nas.settings.command_line import run_command
from nas.settings.config_files import identity
from nas.settings.errors import RunError
from nas.strategies.catalog import settings_of

PACKAGES: Final = ("dyncell", "torch", "numpy")  # whose versions stand beside the table
FREE: Final = (
    "strategy",
    "seed",
    "repetition",
)  # settings that searches of one table may differ in, beside strategies'


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Gather the cells that searches have trained to the end, of any strategies and seeds but one problem, in a table.

    Search without early stopping, with --candidate.measure-halfway for the scores half-way. Let some of the searches be
    of `--strategy random`: on their cells it is measured how well others can be predicted. `nas.search --repetition 1`
    trains the cells of a search once more, with other weights: the noise is known from them. A training that several
    searches have done alike, of one cell with one seed, counts once.
    """

    runs: Positional[tuple[Path, ...]]
    """Directories of searches, finished or not."""
    output: Path
    """The table, NAME.csv.gz; NAME.yaml beside it says how it was made."""

    def __post_init__(self) -> None:
        if not self.runs:
            raise RunError("name the directories of the runs to gather")


def main(arguments: Arguments) -> None:
    """Write the table and say how many cells it has. Raises RunError if a run is none or of another problem."""
    runs = sorted(map(read_run, arguments.runs), key=lambda run: run.config.strategy != "random")  # their draws stay so
    require_one_problem(runs, lambda name: (*settings_of(name), "repetition"))
    if len({run.features for run in runs}) > 1:
        raise RunError("the runs have different static networks or data; a table is of one problem")
    if runs[0].features == UNKNOWN:
        raise RunError(f"{runs[0].directory} does not say what its cells were trained on; a table is of one problem")
    space = load_space(runs[0].config.space)
    trainings: dict[tuple[str, int, int], Row] = {}
    for row in (row for run in runs for row in trained_cells(run, space)):
        trainings.setdefault((row.key, row.seed, row.epochs), row)
    rows = tuple(trainings.values())
    settings = {name: value for name, value in identity(runs[0].config).items() if name not in FREE}
    facts = {
        "rows": dict(Counter(row.strategy for row in rows)),
        "features": runs[0].features,
        "settings": settings,
        "gathered with": {"python": platform.python_version(), **{name: version_of(name) for name in PACKAGES}},
    }
    write_table(arguments.output, Table(space, rows, facts))
    cells = Counter(row.key for row in rows)
    repeated = sum(count > 1 for count in cells.values())
    print(f"{arguments.output}: {len(rows)} trainings of {len(cells)} cells, {repeated} of them repeated")


if __name__ == "__main__":
    run_command("nas.gather", Arguments, None, main)
