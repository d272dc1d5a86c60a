"""All pictures of a search with their numbers beside them: `plots/*.png`, `*.svg` and `*.csv`."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from nas.reporting.plot import Plot
from nas.reporting.search import cell_drawing, figures, sampling_figure
from nas.reporting.search.confirmed import confirmed_figure, confirmed_rows
from nas.reporting.search.curves import Shares, reward_curve, sampled_shares
from nas.runs.confirmation import confirmations, final_ranking
from nas.runs.ranking import cost_of, fixed_points, pareto_front, sampled, with_cost, worth_of
from nas.runs.trial import Trial
from searchspace.space import Space

log = logging.getLogger(__name__)

FOLDER: Final = "plots"  # in the run's directory
DRAWN: Final = 3  # cells in the picture of the best ones
Row = Sequence[object]


def draw(trials: Sequence[Trial], space: Space, reward: str, objective: str = "geometric_mean") -> list[Plot]:
    """Draw all that some trials allow, in the order in which a report shows it; nothing if none was sampled.

    Args:
        trials: the log of a run, in any order and however short.
        space: space that the run samples from.
        reward: label of what it is.
        objective: name of what it is without costs.
    """
    if not sampled(trials):
        return []
    panels = [sampled_shares(trials, kind, space) for kind in ("operation", "aggregation", "input")]
    plots = [Plot("sampling", sampling_figure.samples(panels), list(_shares_rows(panels)))]
    best, fixed = final_ranking(trials), fixed_points(trials)
    if not best:
        log.warning("no trial has a reward yet: only what was sampled is drawn")
        return plots
    titled = [(f"{rank}. {t.name}, reward {t.reward:.4f}", t.genotype) for rank, t in enumerate(best[:DRAWN], 1)]
    drawings = cell_drawing.cells([(title, cell) for title, cell in titled if cell is not None])
    plots.insert(0, Plot("rewards", figures.rewards(reward_curve(trials), fixed, reward), list(_reward_rows(trials))))
    if compared := confirmations(trials, objective):
        plots.insert(0, Plot("confirmed", confirmed_figure(compared, reward), list(confirmed_rows(compared))))
    plots.append(Plot("cells", drawings, list(cell_rows(best[:DRAWN]))))
    if costs := [cost for cost in figures.COSTS if with_cost(trials, cost)]:
        cells = {cost: with_cost(trials, cost) for cost in costs}
        fronts = {cost: pareto_front(trials, cost) for cost in costs}
        rows = list(_pareto_rows([*best, *fixed], fronts))
        plots.append(Plot("pareto", figures.pareto(cells, fronts, fixed), rows))
    return plots


def save(plots: Sequence[Plot], run: Path) -> list[Path]:
    """Write the pictures and numbers into the `plots` folder of a run; return their paths. Raises OSError."""
    return [path for plot in plots for path in plot.save(run / FOLDER)]


def _reward_rows(trials: Sequence[Trial]) -> Iterator[Row]:
    yield "trial", "status", "repeat_of", "reward", "best_so_far", "moving_mean"
    curve = reward_curve(trials)
    along = {t.number: (best, mean) for t, best, mean in zip(curve.trials, curve.best, curve.mean, strict=True)}
    for trial in [*sampled(trials), *fixed_points(trials)]:
        name = trial.fixed_point or trial.number
        yield name, trial.status, trial.repeat_of, trial.reward, *along.get(trial.number, (None, None))


def _shares_rows(panels: Sequence[Shares]) -> Iterator[Row]:
    yield "kind", "choice", "first_trial", "last_trial", "share", "share_if_uniform"
    for panel in panels:
        whole = (panel.windows[0][0], panel.windows[-1][1])
        for label, values in panel.shares.items():
            for window, value in zip((*panel.windows, whole), (*values, panel.overall[label]), strict=True):
                yield panel.kind, label, *window, value, panel.expected[label]


def _pareto_rows(cells: Sequence[Trial], fronts: Mapping[str, Sequence[Trial]]) -> Iterator[Row]:
    yield "trial", "status", "reward", "worth", *fronts, *(f"on_front_of_{cost}" for cost in fronts)
    for trial in cells:
        costs = [cost_of(trial, cost) for cost in fronts]
        yield (
            trial.fixed_point or trial.number,
            trial.status,
            trial.reward,
            worth_of(trial) if trial.ok else None,
            *costs,
            *(int(trial in front) for front in fronts.values()),
        )


def cell_rows(cells: Sequence[Trial]) -> Iterator[Row]:
    """Yield a header, and a row a block of each cell, with memories as long as they are read."""
    yield "rank", "trial", "reward", "block", "input0", "operation0", "input1", "operation1", "aggregation"
    for rank, trial in enumerate(cells, start=1):
        for index, block in enumerate(trial.genotype.blocks if trial.genotype else ()):
            pairs = [part for pair in block.pairs for part in pair]
            yield rank, trial.number, trial.reward, index, *pairs, block.aggregation_as_read
