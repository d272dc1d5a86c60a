"""The picture of a comparison of strategies: draws what `numbers` computed."""

from collections.abc import Sequence
from typing import Final

from matplotlib.figure import Figure

from nas.reporting.comparison.numbers import Search, band, by_strategy
from nas.reporting.search.curves import SMOOTHING
from nas.reporting.style import LINES, finish, trial_axis

DASHES: Final = ("-", "--", "-.", ":")
TITLES: Final = {"best_so_far": "Best reward so far", "moving_mean": f"Mean reward of the latest {SMOOTHING} trials"}


def comparison(searches: Sequence[Search]) -> Figure:
    """Draw a line a strategy, its mean over seeds, in a band from the lowest to the highest seed."""
    figure = Figure(figsize=(9.5, 4.6), layout="constrained")
    for axes, (curve, title) in zip(figure.subplots(1, 2), TITLES.items(), strict=True):
        for place, (strategy, group) in enumerate(by_strategy(searches).items()):
            mean, low, high = band(group, curve)
            colour, dashes, trials = LINES[place % len(LINES)], DASHES[place % len(DASHES)], range(len(mean))
            label = f"{strategy} ({len(group)} {'seed' if len(group) == 1 else 'seeds'})"
            axes.fill_between(trials, low, high, color=colour, alpha=0.15, linewidth=0)
            axes.plot(trials, mean, color=colour, linestyle=dashes, linewidth=1.8, label=label)
        finish(axes, "trial", "reward on meta-val (0 to 1)", title)
        trial_axis(axes, len(mean) - 1)
    handles, labels = axes.get_legend_handles_labels()
    title = "mean over seeds, in a band from lowest to highest"
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, title=title)
    return figure
