"""The style that all figures share: colours, lines and markers, and axes.

Colours are Okabe and Ito's, which people with any colour vision tell apart, and no meaning rests on colour alone.
"""

import textwrap
from collections.abc import Sequence
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

mpl.rcParams["text.parse_math"] = False  # names are names, also with dollar signs

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, RED, PURPLE, GREY = "#0072B2", "#D55E00", "#CC79A7", "#8C8C8C"
LINES: Final = (BLUE, ORANGE, GREEN, PURPLE, SKY, RED, BLACK, GREY)
MARKERS: Final = "osD^vPX*"


def finish(axes: Axes, x: str, y: str, title: str) -> None:
    """Label the axes of a plot, and keep the rest of its frame quiet."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(title, loc="left", fontsize=11)
    axes.grid(axis="y", linewidth=0.4, alpha=0.5)
    axes.spines[["top", "right"]].set_visible(False)


def trial_axis(axes: Axes, last: int) -> None:
    """Let an axis go in whole numbers from the first trial to the last, with a margin."""
    margin = 0.5 + 0.02 * last
    axes.set_xlim(-margin, last + margin)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def explain(figure: Figure, phrases: Sequence[str]) -> None:
    """Write explanations below a figure, in lines as wide as it is."""
    text = textwrap.fill("; ".join(phrases), round(figure.get_figwidth() * 16))
    if text:
        figure.supxlabel(text, x=0.01, ha="left", fontsize=8.5, color="#555555")
