"""All pictures of a run with their numbers beside them: `plots/*.png`, `*.svg` and `*.csv`."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from nas.reporting.search import cell_drawing, figures
from nas.reporting.search.curves import Shares, reward_curve, sampled_shares
from nas.reporting.style import save
from nas.reporting.tabular import write_csv
from nas.runs.ranking import fixed_points, pareto_front, ranking, sampled, with_cost
from nas.runs.trial import Trial
from nas.settings.errors import RunError
from searchspace.space import Space

log = logging.getLogger(__name__)

DRAWN: Final = 3  # cells in the picture of the best ones


def make_plots(run: Path, trials: Sequence[Trial], space: Space) -> list[Path]:
    """Draw all that the trials allow into `run`/plots.

    Args:
        run: the run's directory.
        trials: its log, in any order and however short.
        space: that it samples from.

    Returns:
        The files written; the PNG ones are in the order in which a report shows them.

    Raises:
        RunError: no trial has been sampled, so that there is nothing to draw.
    """
    if not sampled(trials):
        raise RunError(f"{run} holds no sampled trial yet, so there is nothing to draw; run nas.search on it first")
    folder, fixed, best = run / "plots", fixed_points(trials), ranking(trials)
    panels = [sampled_shares(trials, kind, space) for kind in ("operation", "aggregation", "input")]
    drawn = {"sampling": figures.samples(panels)}
    numbers = {"sampling": _shares_rows(panels)}
    if best:
        drawn = {"rewards": figures.rewards(reward_curve(trials), fixed)} | drawn
        titled = [(f"{rank}. {t.name}, reward {t.reward:.4f}", t.genotype) for rank, t in enumerate(best[:DRAWN], 1)]
        drawn["cells"] = cell_drawing.cells([(title, cell) for title, cell in titled if cell is not None])
        numbers |= {"rewards": _reward_rows(trials), "cells": cell_rows(best[:DRAWN])}
    else:
        log.warning("no trial of %s has a reward: only what was sampled is drawn", run)
    costs = [cost for cost in figures.COSTS if with_cost(trials, cost)]
    if costs:
        fronts = {cost: pareto_front(trials, cost) for cost in costs}
        drawn["pareto"] = figures.pareto({cost: with_cost(trials, cost) for cost in costs}, fronts, fixed)
        numbers["pareto"] = _pareto_rows(best, fronts)
    written = [path for name, figure in drawn.items() for path in save(figure, folder / name)]
    for name, rows in numbers.items():
        write_csv(folder / f"{name}.csv", rows)
    return written + [folder / f"{name}.csv" for name in numbers]


def _reward_rows(trials: Sequence[Trial]) -> Iterable[Sequence[object]]:
    yield "trial", "status", "repeat_of", "reward", "best_so_far", "moving_mean"
    curve = reward_curve(trials)
    along = {t.number: (best, mean) for t, best, mean in zip(curve.trials, curve.best, curve.mean, strict=True)}
    for trial in [*sampled(trials), *fixed_points(trials)]:
        name = trial.fixed_point or trial.number
        yield name, trial.status, trial.repeat_of, trial.reward, *along.get(trial.number, (None, None))


def _shares_rows(panels: Sequence[Shares]) -> Iterable[Sequence[object]]:
    yield "kind", "choice", "first_trial", "last_trial", "share", "share_if_uniform"
    for panel in panels:
        whole = (panel.windows[0][0], panel.windows[-1][1])
        for label, values in panel.shares.items():
            for window, value in zip((*panel.windows, whole), (*values, panel.overall[label]), strict=True):
                yield panel.kind, label, *window, value, panel.expected[label]


def _pareto_rows(cells: Sequence[Trial], fronts: Mapping[str, Sequence[Trial]]) -> Iterable[Sequence[object]]:
    yield "trial", "status", "reward", *fronts, *(f"on_front_of_{cost}" for cost in fronts)
    for trial in cells:
        costs = [trial.cost.get(cost) for cost in fronts]
        yield trial.number, trial.status, trial.reward, *costs, *(int(trial in front) for front in fronts.values())


def cell_rows(cells: Sequence[Trial]) -> Iterable[Sequence[object]]:
    """A header, and a row a block of each cell."""
    yield "rank", "trial", "reward", "block", "input0", "operation0", "input1", "operation1", "aggregation"
    for rank, trial in enumerate(cells, start=1):
        for index, block in enumerate(trial.genotype.blocks if trial.genotype else ()):
            pairs = [part for pair in block.pairs for part in pair]
            yield rank, trial.number, trial.reward, index, *pairs, block.aggregation
