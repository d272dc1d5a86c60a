"""The style that all figures share: colours, lines and markers, axes, and how a figure is written to disk.

Colours are Okabe and Ito's, which people with any colour vision tell apart, and no meaning rests on colour alone.
"""

from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cache.atomic import atomic_path

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, RED, PURPLE, GREY = "#0072B2", "#D55E00", "#CC79A7", "#8C8C8C"
LINES: Final = (BLUE, ORANGE, GREEN, PURPLE, SKY, RED, BLACK, GREY)
MARKERS: Final = "osD^vPX*"


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write `figure` as stem.png and stem.svg, byte for byte the same for the same figure; return the two paths."""
    paths = [stem.with_suffix(".png"), stem.with_suffix(".svg")]
    with mpl.rc_context({"svg.hashsalt": "dyncell"}):
        for path, metadata in zip(paths, ({}, {"Date": None}), strict=True):
            with atomic_path(path) as temporary:
                figure.savefig(temporary, format=path.suffix[1:], dpi=150, metadata=metadata)
    return paths


def finish(axes: Axes, x: str, y: str, title: str) -> None:
    """Label the axes of a plot, and keep the rest of its frame quiet."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(title, loc="left", fontsize=11)
    axes.grid(axis="y", linewidth=0.4, alpha=0.5)
    axes.spines[["top", "right"]].set_visible(False)


def trial_axis(axes: Axes, last: int) -> None:
    """Whole numbers from the first trial to the last, with a margin."""
    margin = 0.5 + 0.02 * last
    axes.set_xlim(-margin, last + margin)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
