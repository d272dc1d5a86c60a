"""The figure of what was sampled: draws shares that `curves` computed, and computes none."""

from collections.abc import Callable, Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from nas.reporting.search.captions import glossary, short
from nas.reporting.search.curves import Shares
from nas.reporting.style import BLUE, GREY, LINES, MARKERS, explain, finish, trial_axis

TITLES: Final = {"operation": "Operations", "aggregation": "Aggregations", "input": "Inputs"}
MANY: Final = 8  # choices that can be told apart as lines
PERCENT: Final = FuncFormatter(lambda share, _: f"{100 * share:g}%")
TREND: Final = 3  # windows that show one; fewer are points


def samples(panels: Sequence[Shares]) -> Figure:
    """Draw how often each choice was sampled, a panel a kind (the paper's Fig. 4).

    Over time, few choices are lines and many are rows of a map, where white is what uniform sampling would give. The
    first trials of a search are too few for that: each choice has a point, its share in all of them.
    """
    draw: list[Callable[[Axes, Shares], None]] = [_ink(shares) for shares in panels]
    heights = [
        3.1 if ink is _lines else 0.6 + 0.24 * len(shares.shares) for ink, shares in zip(draw, panels, strict=True)
    ]
    figure = Figure(figsize=(9.5, sum(heights) + 0.8), layout="constrained")
    grid = figure.subplots(len(panels), squeeze=False, height_ratios=heights)
    for axes, ink, shares in zip(grid.flat, draw, panels, strict=True):
        ink(axes, shares)
    (first, last), final = panels[0].windows[0], panels[0].windows[-1][1]
    axes.set_xlabel(f"trial (in windows of {last - first + 1})" if _is_trend(panels[0]) else _share_label(final + 1))
    explain(figure, glossary(short(label) for shares in panels for label in shares.shares))
    return figure


def _is_trend(shares: Shares) -> bool:
    return len(shares.windows) >= TREND


def _ink(shares: Shares) -> Callable[[Axes, Shares], None]:
    if not _is_trend(shares):
        return _points
    return _lines if len(shares.shares) <= MANY else _map


def _share_label(trials: int) -> str:
    return f"share of slots in {trials} trials, too few for a trend (grey: if uniform)"


def _points(axes: Axes, shares: Shares) -> None:
    """Draw the share of each choice in all trials as a point beside that of uniform sampling."""
    rows = range(len(shares.overall))
    axes.plot(list(shares.expected.values()), rows, "|", color=GREY, ms=14, mew=2, zorder=2)
    axes.plot(list(shares.overall.values()), rows, "o", color=BLUE, ms=6, zorder=3, clip_on=False)
    finish(axes, "", "", TITLES[shares.kind])
    axes.set_yticks(rows, [short(label) for label in shares.overall])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.06 * max(*shares.overall.values(), *shares.expected.values()))
    axes.xaxis.set_major_formatter(PERCENT)


def _lines(axes: Axes, shares: Shares) -> None:
    """Draw a line a choice; earlier ones have larger markers, which show where later ones cover them."""
    middles, count = [(first + last) / 2 for first, last in shares.windows], len(shares.shares)
    for place, (label, values) in enumerate(shares.shares.items()):
        colour, marker = LINES[place % len(LINES)], MARKERS[(place + place // len(LINES)) % len(MARKERS)]
        size = 4 + 5 * (count - 1 - place) / max(1, count - 1)
        axes.plot(
            middles,
            values,
            color=colour,
            marker=marker,
            markersize=size,
            markeredgecolor="white",
            markeredgewidth=0.5,
            linewidth=1.6,
            label=_caption(shares, label),
        )
    for level in set(shares.expected.values()):
        axes.axhline(level, color=GREY, linestyle=":", linewidth=1.4, zorder=1)
    finish(axes, "", "share of slots", TITLES[shares.kind])
    trial_axis(axes, shares.windows[-1][1])
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(PERCENT)
    legend = axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.02), frameon=False, alignment="left")
    legend.set_title("in all trials (if uniform: dotted)")


def _map(axes: Axes, shares: Shares) -> None:
    """Draw a row a choice, from dark where it was never sampled to dark where it was twice as often as by chance."""
    edges = [first - 0.5 for first, _ in shares.windows] + [shares.windows[-1][1] + 0.5]
    times = [[share / shares.expected[label] for share in values] for label, values in shares.shares.items()]
    painted = axes.pcolormesh(edges, range(len(times) + 1), times, cmap="PuOr_r", vmin=0, vmax=2)
    assert axes.figure is not None
    axes.figure.colorbar(painted, ax=axes, label="share / uniform share", extend="max", shrink=0.9, location="left")
    finish(axes, "", "", TITLES[shares.kind])
    trial_axis(axes, shares.windows[-1][1])
    axes.grid(visible=False)
    axes.invert_yaxis()
    axes.yaxis.tick_right()
    axes.set_yticks([place + 0.5 for place in range(len(times))], [_caption(shares, label) for label in shares.shares])
    axes.tick_params(axis="y", length=0)


def _caption(shares: Shares, label: str) -> str:
    """Caption a choice with its share in all trials, and in brackets that of uniform sampling."""
    return f"{shares.overall[label]:.0%} ({shares.expected[label]:.0%})  {short(label)}"
