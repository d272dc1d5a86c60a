"""The report of a search: what its directory shows to a reader, written from the trials when it ends or is drawn again.

All of it is a function of the trials, the settings and the facts, in this order: plots, `report.md`, `report.html`.
"""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from cache.atomic import write_text
from nas.reporting.search import plots
from nas.reporting.search.confirmed import confirmed_table, confirmed_winner
from nas.reporting.search.data_figure import data_plot
from nas.reporting.search.facts import beside_random, run_facts
from nas.reporting.search.page import DATA, HTML, search_page
from nas.reporting.search.tables import COLUMNS_KEY, best_cells, outcomes, report
from nas.runs.comparable import Run
from nas.runs.ranking import sampled
from nas.runs.store import read_settings, read_trials
from nas.runs.trial import Trial
from nas.settings.automatic import load_space
from nas.settings.commands import invocation
from nas.settings.config import SearchConfig
from nas.settings.config_files import read_mapping, to_mapping, write_mapping
from nas.settings.preset_files import preset_names
from nas.settings.wording import wording
from nas.training.candidates.inputs import Prepared
from nas.training.candidates.objective import label
from searchspace.space import Space

REPORT: Final = "report.md"
FACTS: Final = "facts.yaml"
"""Facts that a reader needs to judge a run, by name: a search leaves it for whoever draws the run again."""


def write_report(
    run: Path,
    trials: Sequence[Trial],
    config: SearchConfig,
    space: Space,
    prepared: Prepared,
    refresh: int | None = None,
    sisters: Sequence[Run] = (),
    preset: str | None = None,
) -> str:
    """Write both reports, the plots and the facts.

    Args:
        run: directory of the run.
        trials: its log.
        config: settings of the search.
        space: space that it samples from.
        prepared: data, features and static network.
        refresh: seconds after which a browser shall look again; None when the search is over.
        sisters: random searches of the same problem, none of them shorter, beside which the best cell is shown.
        preset: name or path of the preset that the search was called with.

    Returns:
        The table and where things are, for the terminal.

    Raises:
        DataError: a frame to show cannot be read.
        OSError: the folder cannot be written or the disk is full.
    """
    words, objective = wording(config.data.dataset), config.candidate.objective
    next_step = retraining(run, preset, config.data.dataset)
    facts = run_facts(trials, config, space, prepared) | {"to train the best cells for use": next_step}
    facts |= beside_random(trials, sisters)
    write_mapping(run / FACTS, facts)
    if not (run / DATA).exists():  # data do not change while a run lasts
        data_plot(prepared).save((run / DATA).parent)
    drawn = plots.draw(trials, space, label(config.candidate), objective)
    pictures = [path.relative_to(run) for path in plots.save(drawn, run) if path.suffix == ".png"]
    title = f"Search on {prepared.dataset.name}"
    write_text(run / REPORT, report(title, facts, trials, pictures, words, objective))
    write_text(run / HTML, search_page(run, to_mapping(config), facts, trials, drawn, refresh))
    notes = "\n".join(filter(None, [words.note, COLUMNS_KEY]))
    places = f"Report and plots: {run / REPORT}, {run / HTML}\nTrain the best cells for use: {next_step}"
    winner = confirmed_winner(trials, objective)
    confirmed = f"\n{confirmed_table(trials, words=words, objective=objective)}\n{winner}\n" if winner else ""
    return f"{best_cells(trials, words=words)}\n{notes}\n{confirmed}\n{outcomes(trials)}\n{places}"


def redraw(run: Path) -> list[Path]:
    """Write the plots and the page of a run on disk, finished or not; return their paths, the page's last.

    Raises:
        RunError: there is no run, or it is damaged.
        SpaceError: the file of its space is gone or damaged.
        OSError: the folder cannot be written or the disk is full.
    """
    config, trials = read_settings(run), read_trials(run)
    config = replace(config, trials=max(config.trials, len(sampled(trials))))  # a later call may have asked for more
    facts = read_mapping(run / FACTS) if (run / FACTS).exists() else {}
    space = load_space(config.space)
    drawn = plots.draw(trials, space, label(config.candidate), config.candidate.objective)
    paths = plots.save(drawn, run)
    write_text(run / HTML, search_page(run, to_mapping(config), facts, trials, drawn))
    return [*paths, run / HTML]


def retraining(run: Path, preset: str | None, dataset: str) -> str:
    """Return the command that goes on from a search, by its preset or else that of its data set."""
    name = preset or (dataset if dataset in preset_names() else None)
    words = ["--run", str(run), "--top-k", "2", *(["--preset", name] if name else [])]
    return f"{invocation('retrain')} {shlex.join(words)}"
