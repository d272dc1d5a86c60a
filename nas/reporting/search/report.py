"""The report of a search, as Markdown and as a page, its plots, and a summary for the terminal."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cache.atomic import write_text
from nas.reporting.search.page import FACTS, write_html
from nas.reporting.search.plots import make_plots
from nas.reporting.search.tables import best_cells, outcomes, report
from nas.runs.progress import duration
from nas.runs.trial import Trial
from nas.settings.config import SearchConfig
from nas.settings.config_files import write_mapping
from nas.training.candidates.inputs import Prepared
from searchspace.space import Space

REPORT: Final = "report.md"


def write_report(run: Path, trials: Sequence[Trial], config: SearchConfig, space: Space, prepared: Prepared) -> str:
    """Write both reports, the plots and the facts; return the table and where things are, for the terminal."""
    plots = make_plots(run, trials, space)
    pictures = [path.relative_to(run) for path in plots if path.suffix == ".png"]
    facts = run_facts(trials, config, space, prepared) | {"to train the best cells for use": retraining(run)}
    write_text(run / REPORT, report(f"Search on {config.data.dataset}", facts, trials, pictures))
    write_mapping(run / FACTS, facts)
    page = write_html(run, trials, [path for path in plots if path.suffix == ".svg"])
    places = f"Report and plots: {run / REPORT}, {page}\nTrain the best cells for use: {retraining(run)}"
    return f"{best_cells(trials)}\n\n{outcomes(trials)}\n{places}"


def retraining(run: Path) -> str:
    """The command that goes on from a search."""
    return f"python -m nas.retrain --run {shlex.quote(str(run))} --top-k 2"


def run_facts(trials: Sequence[Trial], config: SearchConfig, space: Space, prepared: Prepared) -> dict[str, str]:
    """What a reader has to know to judge the table, by name."""
    compute, candidate, spec = config.compute, config.candidate, prepared.evaluator
    seen = {
        "train": "the whole training list, meta-val included: the per-frame score is flattered",
        "meta-train": "meta-train only, so meta-val is unseen",
    }
    return {
        "data": f"{config.data.dataset} at {prepared.size[0]}x{prepared.size[1]}, {spec.classes} classes",
        "static network": f"{_score(prepared.static_facts)} on the validation list; trained on "
        f"{seen[config.static.train_on]} ({spec.static_checkpoint})",
        "scored on": f"meta-val: the last frame of {len(spec.val_windows)} windows of {config.data.window} frames",
        "candidates": f"{candidate.epochs} epochs over {len(spec.train_windows)} windows, batch {candidate.batch}, "
        f"Adam {candidate.learning_rate:g}{', may stop half-way' if candidate.early_stop else ''}",
        "space": f"{space.name}, {space.blocks} blocks, {space.size:,} token strings",
        "strategy": f"{config.strategy}, seed {config.seed}, look-ahead {config.lookahead}",
        "fixed points": "trained and scored like the candidates, never stopped half-way; each file in baselines/ says "
        "how its cell differs from the publication, and a step of tdnet does not take TDNet's time",
        "computed on": f"{compute.device}, {compute.precision}, CPU threads of a worker: {compute.threads}",
        "pace": pace(trials, config.machine.workers),
        "features": str(prepared.features.path),
    }


def _score(facts: Mapping[str, Any]) -> str:
    """A checkpoint of somebody else's may not say."""
    return f"mIoU {100 * facts['miou']:.2f}" if isinstance(facts.get("miou"), float) else "mIoU unknown"


def pace(trials: Sequence[Trial], workers: int) -> str:
    """Trained trials an hour, from their wall times."""
    times = [trial.seconds for trial in trials if trial.repeat_of is None and trial.number is not None]
    total = sum(times)
    if not total:
        return "no trial was trained"
    return (
        f"{len(times)} trials trained in {duration(total / workers)} on {workers} workers, "
        f"{3600 * workers * len(times) / total:.0f} an hour"
    )
