"""Pictures of evaluated networks: accuracy against latency, IoU of each class, and what they make of some frames."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from nas.reporting.evaluation.record import Row
from nas.reporting.style import BLACK, LINES, MARKERS, finish
from nas.reporting.tabular import spread
from nas.runs.ranking import front

Picture = NDArray[np.uint8]  # (H, W, 3)
WIDTH: Final = 10.5  # inches
HATCHES: Final = ("", "//", "..", "xx", "\\\\", "--", "oo", "++")


def accuracy(rows: Sequence[Row]) -> Figure:
    """MIoU against latency, of the networks that have both; colours as in `class_bars`.

    Latency is the ratio to the per-frame network, which was timed in turns with each: milliseconds of networks that
    were timed one after the other also tell how busy the machine was.
    """
    points = {
        number: (row.cost["ratio"], *(100 * each for each in spread([seed["miou"] for seed in row.scores])))
        for number, row in enumerate(rows)
        if is_placed(row)
    }
    figure = Figure(figsize=(7.5, 4.6), layout="constrained")
    axes = figure.add_subplot()
    best = front(points.values(), lambda point: point[0], lambda point: point[1])
    slowest = max(x for x, _, _ in points.values())
    times, scores, _ = zip(*best, (slowest, *best[-1][1:]), strict=True)
    axes.plot(times, scores, color=BLACK, linewidth=1.2, drawstyle="steps-post", label="Pareto front", zorder=2)
    for number, (x, y, deviation) in points.items():
        marker = MARKERS[(number + number // len(LINES)) % len(MARKERS)]
        style: dict[str, Any] = {"color": LINES[number % len(LINES)], "marker": marker}
        whisker = None if np.isnan(deviation) else deviation
        label = rows[number].caption
        axes.errorbar(
            x, y, whisker, **style, ms=9, mec="white", alpha=0.85, capsize=3, linestyle="none", label=label, zorder=3
        )
    finish(axes, "mean latency / that of the per-frame network", "mIoU (%)", "Accuracy against latency")
    axes.grid(axis="x", linewidth=0.4, alpha=0.5)
    axes.set_xlim(0, 1.06 * slowest)
    axes.margins(y=0.12)
    figure.legend(loc="outside right upper", frameon=False)
    return figure


def is_placed(row: Row) -> bool:
    """Whether a network has a place in `accuracy`."""
    return "ratio" in row.cost and all("miou" in seed for seed in row.scores)


def class_bars(rows: Sequence[Row], names: Sequence[str]) -> Figure:
    """IoU of each class that the labels have, a bar a network; whiskers are the standard deviation over seeds."""
    places = [place for place in range(len(names)) if not np.isnan(rows[0].iou[0][place])]
    wide = 0.35 + 0.13 * len(rows)  # inches of a class; as many stand side by side as a page is wide
    beside = ceil(len(places) / ceil(len(places) * wide / WIDTH))
    lines = [places[start : start + beside] for start in range(0, len(places), beside)]
    width = max(7.0, 0.6 + len(lines[0]) * wide)
    figure = Figure(figsize=(width, 0.8 + 3.0 * len(lines)), layout="constrained")
    for axes, line in zip(figure.subplots(len(lines), squeeze=False).flat, lines, strict=True):
        _bars(axes, rows, line)
        axes.set_xticks(range(len(line)), [names[place] for place in line])
        finish(axes, "", "IoU (%)", "")
        axes.set(xlim=(-0.6, len(lines[0]) - 0.4), ylim=(0, 100))
        axes.set_axisbelow(True)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    columns = int(width / (0.7 + 0.085 * max(map(len, labels))))  # inches of a handle and of a letter
    figure.legend(handles, labels, loc="outside upper center", ncols=max(1, columns), frameon=False)
    return figure


def _bars(axes: Axes, rows: Sequence[Row], places: Sequence[int]) -> None:
    """A group of bars for each class at `places`, a bar a network."""
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
    """Pictures of some frames side by side, a column a frame, with the colours of the classes.

    Args:
        rows: title (the frame, the label, a network) -> pictures (H, W, 3), of the same frames in the same order.
        classes: their names.
        colours: theirs in the pictures.
    """
    count = len(next(iter(rows.values())))
    height, width, _ = next(iter(rows.values()))[0].shape
    figure = Figure(figsize=(3.2 * count + 0.4, 3.2 * height / width * len(rows) + 0.7), layout="constrained")
    grid = figure.subplots(len(rows), count, squeeze=False)
    for line, (title, pictures) in zip(grid, rows.items(), strict=True):
        line[0].set_ylabel(title, fontsize=13)
        for axes, picture in zip(line, pictures, strict=True):
            axes.imshow(picture, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
    legend = zip(classes, colours, strict=True)
    patches = [
        Patch(color=to_hex((red / 255, green / 255, blue / 255)), label=name) for name, (red, green, blue) in legend
    ]
    columns = min(len(patches), 2 * count)
    figure.legend(handles=patches, loc="outside lower center", ncols=columns, frameon=False, fontsize=13)
    return figure


def coloured(classes: NDArray[np.uint8], colours: Sequence[Sequence[int]]) -> Picture:
    """A map of classes (H, W) in their RGB colours; what has none, void, is black."""
    known = classes < len(colours)
    return np.where(known[..., None], np.array(colours, np.uint8)[np.where(known, classes, 0)], 0).astype(np.uint8)
