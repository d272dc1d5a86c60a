"""The ink of plots: draws numbers that `sampling` computed, and computes none.

Each function returns a figure that belongs to nobody's global state; `nas/reporting/style.py` writes it.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from nas.reporting.search.curves import SMOOTHING, RewardCurve, Shares
from nas.reporting.style import BLACK, BLUE, GREEN, GREY, LINES, MARKERS, ORANGE, PURPLE, RED, finish, trial_axis
from nas.runs.ranking import reward_of
from nas.runs.trial import Trial

mpl.rcParams["text.parse_math"] = False  # names are names, also with dollar signs

FIXED_POINTS: Final = (  # line and shape of each one's colour
    (RED, "--", "D"),
    (PURPLE, "-.", "s"),
    (GREEN, ":", "P"),
    (BLACK, "--", "X"),
    (BLUE, "-.", "v"),
    (GREY, "--", "^"),
)
OUTCOMES: Final = {  # name, face, edge and shape of a trial's point
    "finished": ("trained to the end", BLUE, BLUE, "o"),
    "early_stopped": ("stopped half-way", "none", RED, "v"),
    "repeated": ("repeat of an earlier cell", "none", GREY, "s"),
}
TITLES: Final = {"operation": "Operations", "aggregation": "Aggregations", "input": "Inputs"}
SPOKEN: Final = {  # parameters of choices in captions
    "slots": "T{0}",
    "kernel": "{0}x{0}",
    "window": "{0}x{0}",
    "dilation": "dil {0}",
    "stride": "/{0}",
    "phases": "m{0}",
    "light": "light",
}
MANY: Final = 8  # choices that can be told apart as lines
COSTS: Final = {
    "parameters": ("parameters of cell and classifier (thousands)", 1e-3),
    "macs": ("MACs of one later frame (millions)", 1e-6),
}


def rewards(curve: RewardCurve, fixed_points: Sequence[Trial]) -> Figure:
    """Reward of each trial, the best so far and a moving mean, with the fixed points as lines (the paper's Fig. 3)."""
    figure = Figure(figsize=(9.5, 4.8), layout="constrained")
    axes = figure.add_subplot()
    _scatter(axes, curve.trials, curve.numbers)
    axes.plot(curve.numbers, curve.mean, color=ORANGE, linewidth=2, label=f"mean of the latest {SMOOTHING}", zorder=3)
    axes.plot(
        curve.numbers, curve.best, color=BLACK, drawstyle="steps-post", linewidth=1.6, label="best so far", zorder=3
    )
    for trial, (colour, dashes, _) in zip(fixed_points, FIXED_POINTS * len(fixed_points), strict=False):
        if trial.ok:
            label = f"{trial.name} ({trial.reward:.3f})"
            axes.axhline(reward_of(trial), color=colour, linestyle=dashes, linewidth=1.6, label=label, zorder=2)
    if curve.failed:
        label, bottom = f"failed ({len(curve.failed)})", axes.get_xaxis_transform()
        axes.plot(curve.failed, [0.02] * len(curve.failed), "|", color=RED, ms=10, transform=bottom, label=label)
    finish(axes, "trial", "reward on meta-val (geometric mean, 0 to 1)", "Reward over the search")
    trial_axis(axes, max(curve.numbers + curve.failed))
    figure.legend(loc="outside right upper", frameon=False)
    return figure


def samples(panels: Sequence[Shares]) -> Figure:
    """How often each choice was sampled over the search, a panel a kind (the paper's Fig. 4).

    Few choices are lines; many are rows of a map, where white is what uniform sampling would give. Dotted lines, and
    the numbers in brackets, say that, too.
    """
    heights = [3.1 if len(shares.shares) <= MANY else 0.6 + 0.24 * len(shares.shares) for shares in panels]
    figure = Figure(figsize=(9.5, sum(heights)), layout="constrained")
    grid = figure.subplots(len(panels), squeeze=False, height_ratios=heights)
    for axes, shares in zip(grid.flat, panels, strict=True):
        (_lines if len(shares.shares) <= MANY else _map)(axes, shares)
        trial_axis(axes, shares.windows[-1][1])
    first, last = panels[0].windows[0]
    axes.set_xlabel(f"trial (in windows of {last - first + 1})")
    return figure


def _lines(axes: Axes, shares: Shares) -> None:
    middles = [(first + last) / 2 for first, last in shares.windows]
    for place, (label, values) in enumerate(shares.shares.items()):
        colour, marker = LINES[place % len(LINES)], MARKERS[(place + place // len(LINES)) % len(MARKERS)]
        axes.plot(
            middles, values, color=colour, marker=marker, markersize=4, linewidth=1.6, label=_counted(shares, label)
        )
    for level in set(shares.expected.values()):
        axes.axhline(level, color=GREY, linestyle=":", linewidth=1.4, zorder=1)
    finish(axes, "", "share of slots", TITLES[shares.kind])
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    legend = axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.02), frameon=False, alignment="left")
    legend.set_title("in all trials (if uniform: dotted)")


def _map(axes: Axes, shares: Shares) -> None:
    edges = [first - 0.5 for first, _ in shares.windows] + [shares.windows[-1][1] + 0.5]
    times = [[share / shares.expected[label] for share in values] for label, values in shares.shares.items()]
    painted = axes.pcolormesh(edges, range(len(times) + 1), times, cmap="PuOr_r", vmin=0, vmax=2)
    assert axes.figure is not None
    axes.figure.colorbar(painted, ax=axes, label="share / uniform share", extend="max", shrink=0.9, location="left")
    finish(axes, "", "", TITLES[shares.kind])
    axes.grid(visible=False)
    axes.invert_yaxis()
    axes.yaxis.tick_right()
    axes.set_yticks([place + 0.5 for place in range(len(times))], [_counted(shares, label) for label in shares.shares])
    axes.tick_params(axis="y", length=0)


def _counted(shares: Shares, label: str) -> str:
    """A choice with its share in all trials, and in brackets that of uniform sampling."""
    return f"{shares.overall[label]:.0%} ({shares.expected[label]:.0%})  {short(label)}"


def pareto(
    cells: Mapping[str, Sequence[Trial]], fronts: Mapping[str, Sequence[Trial]], fixed: Sequence[Trial]
) -> Figure:
    """Reward against each cost, with the front of cells that no other beats in both.

    Args:
        cells: cost -> the distinct cells for which it is known.
        fronts: cost -> those on the front, cheapest first.
        fixed: fixed points, drawn where they have the cost.
    """
    figure = Figure(figsize=(5.2 * len(cells), 5), layout="constrained")
    for axes, (cost, trials) in zip(figure.subplots(1, len(cells), squeeze=False).flat, cells.items(), strict=True):
        title, scale = COSTS[cost]
        _scatter(axes, trials, [trial.cost[cost] * scale for trial in trials])
        front = [(trial.cost[cost] * scale, reward_of(trial)) for trial in fronts[cost]]
        axes.plot(
            *zip(*front, strict=True), color=BLACK, zorder=3, drawstyle="steps-post", marker=".", label="Pareto front"
        )
        for trial, (colour, _, marker) in zip(fixed, FIXED_POINTS * len(fixed), strict=False):
            if trial.ok and cost in trial.cost:
                place = (trial.cost[cost] * scale, reward_of(trial))
                axes.plot(*place, color=colour, marker=marker, ms=8, linestyle="none", zorder=4, label=trial.name)
        finish(axes, title, "reward on meta-val (0 to 1)", "")
        axes.set_xlim(left=0)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=5, frameon=False)
    return figure


def _scatter(axes: Axes, trials: Sequence[Trial], x: Sequence[float]) -> None:
    """Trials as points of a shape for each outcome, smaller where there are many."""
    size = 26 if len(trials) < 200 else 9
    groups: dict[str, list[tuple[float, float]]] = {outcome: [] for outcome in OUTCOMES}
    for trial, place in zip(trials, x, strict=True):
        groups["repeated" if trial.repeat_of is not None else trial.status].append((place, reward_of(trial)))
    for outcome, points in groups.items():
        if points:
            name, face, edge, marker = OUTCOMES[outcome]
            label = f"{name} ({len(points)})"
            xs, ys = zip(*points, strict=True)
            axes.scatter(xs, ys, s=size, c=face, marker=marker, edgecolors=edge, alpha=0.7, label=label)


def short(label: str) -> str:
    """A choice's label as a caption: `separable conv 5x5 dil 6` of `separable_conv(dilation=6, kernel=5)`.

    A memory of 4 slots is T4, a stride of 2 is /2, and 4 phases are m4.
    """
    name, _, inside = label.removesuffix(")").partition("(")
    values = dict(part.split("=") for part in inside.split(", ")) if inside else {}
    if values.get("dilation") == "1":
        del values["dilation"]
    return " ".join(
        [name.replace("_", " "), *(SPOKEN.get(key, key + " {}").format(values[key]) for key in _order(values))]
    )


def _order(values: Mapping[str, str]) -> list[str]:
    """The parameters' names: those with a caption of their own first, in its order."""
    return [key for key in SPOKEN if key in values] + [key for key in values if key not in SPOKEN]
