"""Pictures of evaluated networks: accuracy against latency, IoU of each class, and what they make of some frames."""

from collections.abc import Mapping, Sequence
from math import ceil
from textwrap import fill
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from cache.datasets.palette import VOID_COLOUR
from nas.reporting.evaluation.record import Row
from nas.reporting.style import BLACK, LINES, MARKERS, explain, finish
from nas.reporting.tabular import spread
from nas.runs.ranking import front
from nas.settings.wording import MASKS, Wording

Picture = NDArray[np.uint8]  # (H, W, 3)
VOID_NAME: Final = "no label"
WIDTH: Final = 10.5  # inches
LETTER: Final = 0.12  # inches of a letter in a legend and in titles of rows, on average
HATCHES: Final = ("", "//", "..", "xx", "\\\\", "--", "oo", "++")


def accuracy(rows: Sequence[Row], words: Wording = MASKS) -> Figure:
    """Draw mIoU against latency, of the networks that have both; colours as in `class_bars`.

    Latency is the ratio to the per-frame network, which was timed in turns with each: milliseconds of networks that
    were timed one after the other also tell how busy the machine was. Whiskers are the standard deviation over seeds
    and the 10th and 90th percentile of the ratio; the per-frame network's is 1 by definition.
    """
    placed = {number: row for number, row in enumerate(rows) if is_placed(row)}
    scores = {number: [100 * seed["miou"] for seed in row.scores] for number, row in placed.items()}
    points = {number: (row.cost["relative_latency"], float(np.mean(scores[number]))) for number, row in placed.items()}
    figure = Figure(figsize=(7.5, 4.6), layout="constrained")
    axes = figure.add_subplot()
    best = front(points.values(), lambda point: point[0], lambda point: point[1])
    slowest = max(row.cost.get("relative_latency_high", row.cost["relative_latency"]) for row in placed.values())
    times, heights = zip(*best, (slowest, best[-1][1]), strict=True)
    axes.plot(times, heights, color=BLACK, linewidth=1.2, drawstyle="steps-post", label="Pareto front", zorder=2)
    for rank, (number, (x, y)) in enumerate(points.items()):
        cost, (_, deviation) = rows[number].cost, spread(scores[number])
        style: dict[str, Any] = {
            "color": LINES[number % len(LINES)],
            "marker": MARKERS[(number + number // len(LINES)) % len(MARKERS)],
            "ms": max(6, 11 - rank),  # what coincides shows below what is smaller
            "xerr": [[x - cost["relative_latency_low"]], [cost["relative_latency_high"] - x]]
            if "relative_latency_low" in cost
            else None,
            "yerr": None if np.isnan(deviation) else deviation,
        }
        axes.errorbar(
            x, y, **style, mec="white", alpha=0.85, capsize=3, linestyle="none", label=rows[number].caption, zorder=3
        )
    finish(axes, "mean latency / that of the per-frame network", f"{words.miou} (%)", words.title)
    axes.grid(axis="x", linewidth=0.4, alpha=0.5)
    axes.set_xlim(0, 1.06 * slowest)
    axes.margins(y=0.12)
    figure.legend(loc="outside right upper", frameon=False)
    explain(figure, ["whiskers: standard deviation over seeds, and 10th to 90th percentile of the ratio"])
    return figure


def is_placed(row: Row) -> bool:
    """Tell whether a network has a place in `accuracy`."""
    return "relative_latency" in row.cost and all("miou" in seed for seed in row.scores)


def class_bars(rows: Sequence[Row], names: Sequence[str], words: Wording = MASKS) -> Figure:
    """Draw the score of each class in the labels, a bar a network; whiskers are the standard deviation over seeds."""
    places = [place for place in range(len(names)) if not np.isnan(rows[0].iou[0][place])]
    wide = 0.35 + 0.13 * len(rows)  # inches of a class; as many stand side by side as a page is wide
    beside = ceil(len(places) / ceil(len(places) * wide / WIDTH))
    lines = [places[start : start + beside] for start in range(0, len(places), beside)]
    width = max(7.0, 0.6 + len(lines[0]) * wide)
    figure = Figure(figsize=(width, 0.8 + 3.0 * len(lines)), layout="constrained")
    for axes, line in zip(figure.subplots(len(lines), squeeze=False).flat, lines, strict=True):
        _bars(axes, rows, line)
        axes.set_xticks(range(len(line)), [names[place] for place in line])
        finish(axes, "", f"{words.of_class} (%)", "")
        axes.set(xlim=(-0.6, len(lines[0]) - 0.4), ylim=(0, 100))
        axes.set_axisbelow(True)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    columns = int(width / (0.7 + 0.085 * max(map(len, labels))))  # inches of a handle and of a letter
    figure.legend(handles, labels, loc="outside upper center", ncols=max(1, columns), frameon=False)
    return figure


def _bars(axes: Axes, rows: Sequence[Row], places: Sequence[int]) -> None:
    """Draw a group of bars for each class at `places`, a bar a network."""
    width, x = 0.8 / len(rows), np.arange(len(places))
    for number, row in enumerate(rows):
        seeds = 100 * np.array([[iou[place] for place in places] for iou in row.iou])
        style: dict[str, Any] = {
            "color": LINES[number % len(LINES)],
            "hatch": HATCHES[number // len(LINES) % len(HATCHES)],
        }
        whiskers = seeds.std(0, ddof=1) if len(seeds) > 1 else None
        left = x + width * (number - (len(rows) - 1) / 2)
        axes.bar(left, seeds.mean(0), width, yerr=whiskers, label=row.caption, edgecolor="white", **style)


def panels(
    rows: Mapping[str, Sequence[Picture]], classes: Sequence[str], colours: Sequence[tuple[int, int, int]]
) -> Figure:
    """Show pictures of some frames side by side, a column a frame, with the colours of the classes.

    Args:
        rows: title (the frame, the label, a network) -> pictures (H, W, 3), of the same frames in the same order.
        classes: names of the classes.
        colours: RGB colours of the classes.
    """
    count = len(next(iter(rows.values())))
    height, width, _ = next(iter(rows.values()))[0].shape
    legend = [*zip(classes, colours, strict=True), (VOID_NAME, VOID_COLOUR)]
    across, row = 3.2 * count + 0.4, 3.2 * height / width  # inches
    columns = max(1, int(across / (0.8 + LETTER * max(len(name) for name, _ in legend))))
    figure = Figure(figsize=(across, row * len(rows) + 0.4 + 0.3 * ceil(len(legend) / columns)), layout="constrained")
    grid = figure.subplots(len(rows), count, squeeze=False)
    for line, (title, pictures) in zip(grid, rows.items(), strict=True):
        line[0].set_ylabel(fill(title, max(1, int(row / LETTER)), break_long_words=False), fontsize=13)
        for axes, picture in zip(line, pictures, strict=True):
            axes.imshow(picture, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
    patches = [
        Patch(color=to_hex((red / 255, green / 255, blue / 255)), label=name) for name, (red, green, blue) in legend
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=columns, frameon=False, fontsize=13)
    return figure


def colour(classes: NDArray[np.uint8], colours: Sequence[Sequence[int]]) -> Picture:
    """Paint a map of classes (H, W) in their RGB colours; void, which has none, is black."""
    return np.array([*colours, VOID_COLOUR], np.uint8)[np.minimum(classes, len(colours))]
