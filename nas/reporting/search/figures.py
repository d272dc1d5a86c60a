"""Figures of rewards: over the search, and against what cells cost. Draws what `curves` computed, and computes none.

Each function returns a figure that belongs to nobody's global state.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nas.reporting.search.curves import SMOOTHING, RewardCurve
from nas.reporting.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, finish, trial_axis
from nas.runs.ranking import cost_of, reward_of, worth_of
from nas.runs.trial import Trial

FIXED_POINTS: Final = (  # line and shape of each one's colour
    (RED, "--", "D"),
    (PURPLE, "-.", "s"),
    (GREEN, ":", "P"),
    (SKY, (0, (7, 2, 1, 2, 1, 2)), "X"),
    (BLUE, (0, (1, 3)), "v"),
    (GREY, (0, (9, 4)), "^"),
)
OUTCOMES: Final = {  # name, face, edge and shape of a trial's point
    "finished": ("trained to the end", BLUE, BLUE, "o"),
    "early_stopped": ("stopped half-way", "none", RED, "v"),
    "repeated": ("repeat of an earlier cell", "none", GREY, "s"),
}
COSTS: Final = {  # axis and scale
    "relative_macs": ("MACs of a clip / those of the per-frame network", 1),
    "relative_latency": ("time of a clip / that of the per-frame network", 1),
    "parameters": ("parameters of cell and classifier (thousands)", 1e-3),
    "latency": ("a later frame after the encoder (ms, roughly)", 1e3),
}
PANEL: Final = 4.3  # inches, in height and width
REWARD: Final = "reward on meta-val ({}, 0 to 1)"


def rewards(curve: RewardCurve, fixed_points: Sequence[Trial], objective: str) -> Figure:
    """Draw rewards, the best so far, a moving mean, and fixed points as lines (the paper's Fig. 3).

    The mean begins where it goes over as many trials as its name says. `objective` says what the reward is.
    """
    figure = Figure(figsize=(9.5, 4.8), layout="constrained")
    axes = figure.add_subplot()
    _scatter(axes, curve.trials, curve.numbers)
    if len(curve.rewards) > SMOOTHING:
        start, label = SMOOTHING - 1, f"mean of the latest {SMOOTHING}"
        axes.plot(curve.numbers[start:], curve.mean[start:], color=ORANGE, linewidth=2, label=label, zorder=3)
    axes.step(curve.numbers, curve.best, where="post", color=BLACK, linewidth=1.6, label="best so far", zorder=3)
    for trial, (colour, dashes, _) in zip(fixed_points, FIXED_POINTS * len(fixed_points), strict=False):
        if trial.ok:
            label = f"{trial.name} ({trial.reward:.3f})"
            axes.axhline(reward_of(trial), color=colour, linestyle=dashes, linewidth=1.6, label=label, zorder=2)
    if curve.failed:
        label, bottom = f"failed ({len(curve.failed)})", axes.get_xaxis_transform()
        axes.plot(curve.failed, [0.02] * len(curve.failed), "|", color=RED, ms=10, transform=bottom, label=label)
    finish(axes, "trial", REWARD.format(objective), "Reward over the search")
    trial_axis(axes, max(curve.numbers + curve.failed))
    figure.legend(loc="outside right upper", frameon=False)
    return figure


def pareto(
    cells: Mapping[str, Sequence[Trial]], fronts: Mapping[str, Sequence[Trial]], fixed: Sequence[Trial]
) -> Figure:
    """Draw worth, the reward before costs count, against each cost, with the front of what no other beats in both.

    Args:
        cells: cost -> the distinct cells for which it is known.
        fronts: cost -> cells and fixed points on the front, cheapest first.
        fixed: fixed points, drawn where they have the cost.
    """
    figure = Figure(figsize=(PANEL * len(cells) + 0.3, PANEL + 0.8), layout="constrained")
    grid = figure.subplots(1, len(cells), squeeze=False, sharey=True).flat
    for axes, (cost, trials) in zip(grid, cells.items(), strict=True):
        _against(axes, cost, trials, fronts[cost], fixed)
    figure.axes[0].set_ylabel("score on meta-val, before costs count (0 to 1)")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=5, frameon=False)
    return figure


def _against(axes: Axes, cost: str, cells: Sequence[Trial], front: Sequence[Trial], fixed: Sequence[Trial]) -> None:
    """Draw one panel of `pareto`: numbered cells, named fixed points, and the front as steps."""
    title, scale = COSTS[cost]

    def place(trial: Trial) -> tuple[float, float]:
        return scale * (cost_of(trial, cost) or 0.0), worth_of(trial)

    _scatter(axes, cells, [place(trial)[0] for trial in cells], worth_of)
    steps = [place(trial) for trial in front]
    axes.plot(*zip(*steps, strict=True), color=BLACK, lw=1, zorder=2, drawstyle="steps-post", label="Pareto front")
    for rank, (trial, (colour, _, marker)) in enumerate(zip(fixed, FIXED_POINTS * len(fixed), strict=False)):
        if trial.ok and cost_of(trial, cost) is not None:
            style: dict[str, Any] = {
                "color": colour,
                "marker": marker,
                "mec": "white",
                "mew": 0.6,
                "linestyle": "none",
                "alpha": 0.9,
            }
            axes.plot(*place(trial), **style, ms=12 - rank, zorder=4, label=trial.name)
    finish(axes, title, "", "")
    axes.set_xlim(left=0)
    first = [trial for trial in front if trial.number is not None]
    _number(axes, [(trial.name, *place(trial)) for trial in [*first, *(cell for cell in cells if cell not in first)]])


def _number(axes: Axes, points: Sequence[tuple[str, float, float]]) -> None:
    """Write names beside points, in this order; one that would cover an earlier one is left out."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    written: list[tuple[float, float]] = []
    for name, x, y in points:
        across, up = PANEL * (x - left) / (right - left), PANEL * (y - bottom) / (top - bottom)  # inches
        if all(abs(across - other) > 0.35 or abs(up - beside) > 0.16 for other, beside in written):
            written.append((across, up))
            axes.annotate(name, (x, y), (4, 3), textcoords="offset points", fontsize=7.5)


def _scatter(axes: Axes, trials: Sequence[Trial], x: Sequence[float], y: Callable[[Trial], float] = reward_of) -> None:
    """Draw trials as points of a shape for each outcome, smaller where there are many."""
    size = 26 if len(trials) < 200 else 9
    groups: dict[str, list[tuple[float, float]]] = {outcome: [] for outcome in OUTCOMES}
    for trial, place in zip(trials, x, strict=True):
        groups["repeated" if trial.repeat_of is not None else trial.status].append((place, y(trial)))
    for outcome, points in groups.items():
        if points:
            name, face, edge, marker = OUTCOMES[outcome]
            label = f"{name} ({len(points)})"
            xs, ys = zip(*points, strict=True)
            axes.scatter(xs, ys, s=size, c=face, marker=marker, edgecolors=edge, alpha=0.7, label=label)
