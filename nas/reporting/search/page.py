"""`report.html`: a run as one file that a colleague can open.

Links to checkpoints and logs are relative to the run's directory, and work where the page lies in it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import yaml
from tabulate import tabulate

from cache.atomic import write_text
from nas.reporting.evaluation.page import evaluations
from nas.reporting.html_page import folded, links, page, paragraph, picture, preformatted, terms, wide
from nas.reporting.search.plots import DRAWN, cell_rows
from nas.reporting.search.tables import best_cells, failures, outcomes
from nas.runs.ranking import fixed_points, ranking, reward_of
from nas.runs.store import read_config
from nas.runs.trial import Trial
from nas.settings.config import SearchConfig
from nas.settings.config_files import from_mapping, read_mapping
from nas.training.video.results import BEST, FOLDER, training_state

HTML: Final = "report.html"
FACTS: Final = "facts.yaml"  # what a reader has to know to judge a run, by name; a finished search leaves it
PICTURES: Final = {  # stem of the file -> heading and caption
    "rewards": (
        "Reward over the search",
        "A point is a trial. Lines are the best reward so far, a moving mean, and the fixed points.",
    ),
    "sampling": (
        "What was sampled",
        "How often each choice was sampled over the search, beside what uniform sampling would give.",
    ),
    "cells": ("The best cells", "Inputs stand left, the output right; a card is a block, which joins two tensors."),
    "pareto": ("Reward against cost", "The line joins the cells that no other beats in reward without costing more."),
}
KEY: Final = (
    "Scores are on meta-val, part of the training list, after a short training. Fixed points, which have no rank, are "
    "hand-designed networks and the per-frame network, trained and scored like the cells."
)
FILES: Final = ("report.md", "trials.jsonl", "config.yaml", "inputs.yaml", "search.log", "controller.pt", "plots")


def write_html(run: Path, trials: Sequence[Trial], pictures: Sequence[Path]) -> Path:
    """Write `report.html` into a run's directory and return its path.

    Args:
        run: the directory; its settings, the facts that a finished search left, and its checkpoints are shown.
        trials: its log.
        pictures: SVG files, in the order to be shown.
    """
    settings = read_config(run)
    facts = read_mapping(run / FACTS) if (run / FACTS).exists() else {}
    plots = {path.stem: picture(path, PICTURES[path.stem][1]) for path in pictures}
    if "cells" in plots:
        plots["cells"] += folded("The same cells in words", wide(words(trials)))
    sections = {
        "Best cells beside the fixed points": wide(best_cells(trials, form="html")) + paragraph(KEY),
        **{PICTURES[stem][0]: html for stem, html in plots.items()},
        **evaluations(run),
        "Failures": wide(failures(trials, form="html")),
        "Trained networks": links(
            {path.relative_to(run): training_state(path) for path in sorted(run.glob(f"{FOLDER}/*/{BEST}"))}
        ),
        "How it was done": terms((name, str(fact)) for name, fact in facts.items())
        + folded("All settings", preformatted(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))),
        "Files": links({Path(name): "" for name in FILES if (run / name).exists()}),
    }
    config = from_mapping(SearchConfig, settings, str(run))
    title = f"Search on {config.data.dataset}: {run.resolve().name}"
    introduction = f"{outcomes(trials)} {winners(trials)}".strip()
    write_text(run / HTML, page(title, introduction, sections))
    return run / HTML


def drawn(run: Path) -> list[Path]:
    """The pictures that an earlier `make_plots` left, in the order in which the page shows them."""
    return [path for stem in PICTURES if (path := run / "plots" / f"{stem}.svg").exists()]


def winners(trials: Sequence[Trial]) -> str:
    """The best cell and the best fixed point; empty before there is a cell with a reward."""
    fixed = [trial for trial in fixed_points(trials) if trial.ok]
    best = [max(group, key=reward_of) for group in (ranking(trials), fixed) if group]
    if not ranking(trials):
        return ""
    said = [f"{trial.name} with a reward of {reward_of(trial):.4f}" for trial in best]
    return f"The best cell is {said[0]}" + (f", and the best fixed point {said[1]}." if len(said) > 1 else ".")


def words(trials: Sequence[Trial]) -> str:
    """The blocks of the drawn cells, as a table."""
    header, *rows = cell_rows(ranking(trials)[:DRAWN])
    return str(tabulate(rows, headers=[str(name) for name in header], tablefmt="html", disable_numparse=True))
