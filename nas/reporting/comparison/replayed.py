"""The picture of replayed searches: the best value found so far, a line a strategy."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from nas.reporting.comparison.figure import DASHES
from nas.reporting.plot import Plot
from nas.reporting.style import LINES, finish

Curves = Mapping[str, Sequence[Sequence[float]]]
"""For each strategy the best value so far after each trial, a curve a search; all are equally long."""


def curves_plot(curves: Curves, landscape: str) -> Plot:
    """Draw the mean over the searches of each strategy, in a band of its standard error to both sides."""
    figure = Figure(figsize=(7.5, 4.6), layout="constrained")
    axes = figure.subplots()
    rows: list[Sequence[object]] = [("strategy", "trials", "mean", "standard error")]
    for place, (strategy, group) in enumerate(curves.items()):
        mean, error = np.mean(group, 0), np.std(group, 0, ddof=1) / len(group) ** 0.5
        colour, dashes, trials = LINES[place % len(LINES)], DASHES[place % len(DASHES)], range(1, len(mean) + 1)
        axes.fill_between(trials, mean - error, mean + error, color=colour, alpha=0.15, linewidth=0)
        axes.plot(trials, mean, color=colour, linestyle=dashes, linewidth=1.8, label=f"{strategy} ({len(group)})")
        rows += [(strategy, *each) for each in zip(trials, mean.tolist(), error.tolist(), strict=True)]
    finish(axes, "trials", "standard deviations above uniform draws", f"Best true value so far, on {landscape}")
    axes.legend(frameon=False, title="mean over searches, ± its standard error")
    return Plot("curves", figure, rows)
