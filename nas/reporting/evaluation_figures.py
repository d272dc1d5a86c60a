"""Pictures of evaluated networks: IoU of each class, and what they make of some frames."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from nas.reporting.evaluation_tables import Row
from nas.reporting.figures import LINES

Picture = NDArray[np.uint8]  # (H, W, 3)
HATCHES: Final = ("", "//", "..", "xx", "\\\\", "--", "oo", "++")


def class_bars(rows: Sequence[Row], names: Sequence[str]) -> Figure:
    """IoU of each class that the labels have, a bar a network; whiskers are the standard deviation over seeds."""
    places = [place for place in range(len(names)) if not np.isnan(rows[0].iou[0][place])]
    width, x = 0.8 / len(rows), np.arange(len(places))
    figure = Figure(figsize=(max(6.0, 0.4 + len(places) * (0.35 + 0.16 * len(rows))), 4.2), layout="constrained")
    axes = figure.add_subplot()
    for number, row in enumerate(rows):
        seeds = 100 * np.array([[iou[place] for place in places] for iou in row.iou])
        style = {"color": LINES[number % len(LINES)], "hatch": HATCHES[number // len(LINES) % len(HATCHES)]}
        whiskers = seeds.std(0, ddof=1) if len(seeds) > 1 else None
        left = x + width * (number - (len(rows) - 1) / 2)
        axes.bar(left, seeds.mean(0), width, yerr=whiskers, label=row.name, edgecolor="white", **style)  # type: ignore[arg-type]
    axes.set_xticks(x, [names[place] for place in places], rotation=30, ha="right")
    axes.set(ylabel="IoU (%)", ylim=(0, 100))
    axes.grid(axis="y", linewidth=0.4, alpha=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=min(len(rows), 6), frameon=False)
    return figure


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
        line[0].set_ylabel(title)
        for axes, picture in zip(line, pictures, strict=True):
            axes.imshow(picture, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
    legend = zip(classes, colours, strict=True)
    patches = [
        Patch(color=to_hex((red / 255, green / 255, blue / 255)), label=name) for name, (red, green, blue) in legend
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=min(len(patches), 3 * count), frameon=False)
    return figure


def coloured(classes: NDArray[np.uint8], colours: Sequence[Sequence[int]]) -> Picture:
    """A map of classes (H, W) in their RGB colours; what has none, void, is black."""
    known = classes < len(colours)
    return np.where(known[..., None], np.array(colours, np.uint8)[np.where(known, classes, 0)], 0).astype(np.uint8)
