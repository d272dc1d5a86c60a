"""`report.html`: a search as one file that a colleague can open.

Links to checkpoints and logs are relative to the run's directory, and work where the page lies in it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from tabulate import tabulate

from nas.reporting.evaluation.page import evaluations
from nas.reporting.html_page import code_block, details, links, page, paragraph, picture, scrolling, terms
from nas.reporting.plot import Plot
from nas.reporting.provenance import provenance
from nas.reporting.search.confirmed import KEY as CONFIRMED_KEY
from nas.reporting.search.confirmed import confirmed_table, confirmed_winner
from nas.reporting.search.tables import KEY, best_cells, failures, outcomes, winners
from nas.runs.trial import Trial
from nas.settings.wording import wording
from nas.training.saved_training import BEST
from nas.training.video.results import FOLDER, training_state

HTML: Final = "report.html"
DATA: Final = Path("plots/data.svg")
DATA_CAPTION: Final = (
    "Frames that candidates are scored on, each above its {}. Beside each class stands its share of the labelled "
    "pixels of the training list."
)
PLOTS: Final = {  # name -> heading and caption
    "confirmed": (
        "Searched and confirmed",
        "A network's reward in the search, which chose the cells, beside those of longer trainings with fresh seeds.",
    ),
    "rewards": (
        "Reward over the search",
        "A point is a trial. Lines are the best reward so far, the fixed points and, once there are enough trials for "
        "one, a moving mean.",
    ),
    "sampling": (
        "What was sampled",
        "How often each choice was sampled over the search, beside what uniform sampling would give.",
    ),
    "cells": ("The best cells", "Inputs stand left, the output right; a card is a block, which joins two tensors."),
    "pareto": (
        "Score against cost",
        "The line joins the cells and fixed points that no other beats in score without costing more. Numbers are "
        "trials; times were measured on the workers beside all else that ran there.",
    ),
}
FILES: Final = ("report.md", "trials.jsonl", "config.yaml", "inputs.yaml", "search.log", "controller.pt", "plots")


def search_page(
    run: Path,
    settings: Mapping[str, Any],
    facts: Mapping[str, str],
    trials: Sequence[Trial],
    plots: Sequence[Plot],
    refresh: int | None = None,
) -> str:
    """Make the page of a run.

    Args:
        run: its directory, whose retrained networks, evaluations and picture of the data are shown.
        settings: all of them, nested by section.
        facts: what a reader has to know to judge it, by name.
        trials: the log.
        plots: pictures in the order to be shown.
        refresh: seconds after which a browser shall look again; None when the search is over.

    Raises:
        RunError: an evaluation in the directory is damaged.
    """
    words, objective = wording(settings["data"]["dataset"]), settings["candidate"]["objective"]
    confirmed = confirmed_table(trials, "html", words, objective)
    sections = {
        "Confirmed by longer training": scrolling(confirmed) + paragraph(CONFIRMED_KEY) if confirmed else "",
        "Best cells beside the fixed points": scrolling(best_cells(trials, form="html", words=words))
        + paragraph(f"{words.note} {KEY}"),
        **{PLOTS[plot.name][0]: _plot(plot) for plot in plots},
        **evaluations(run),
        "The data": picture((run / DATA).read_bytes(), DATA_CAPTION.format(words.labels))
        if (run / DATA).exists()
        else "",
        "Failures": scrolling(failures(trials, form="html")),
        "Trained networks": links(
            {path.relative_to(run): training_state(path) for path in sorted(run.glob(f"{FOLDER}/*/{BEST}"))}
        ),
        "How it was done": terms((name, str(fact)) for name, fact in facts.items())
        + details("All settings", code_block(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))),
        "Files": links({Path(name): "" for name in FILES if (run / name).exists()}),
    }
    state = "The search goes on, and this page with it." if refresh else ""
    introduction = " ".join(
        filter(
            None,
            [outcomes(trials), winners(trials), confirmed_winner(trials, objective), state, f"Written {provenance()}."],
        )
    )
    return page(f"Search on {settings['data']['dataset']}: {run.resolve().name}", introduction, sections, refresh)


def _plot(plot: Plot) -> str:
    shown = picture(plot.svg, PLOTS[plot.name][1])
    if plot.name != "cells":
        return shown
    header, *rows = plot.rows
    table = tabulate(rows, headers=[str(name) for name in header], tablefmt="html", disable_numparse=True)
    return shown + details("The same cells in words", scrolling(table))
