"""Drawings of cells (the paper's Fig. 7): inputs left, `dec` right, a card a block, a line a tensor that is read."""

from collections.abc import Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path as Curve
from matplotlib.textpath import TextPath

from nas.reporting.search.captions import glossary, short
from nas.reporting.style import BLACK, BLUE, GREEN, ORANGE, PURPLE, RED, explain
from searchspace.genotype import INPUTS, Genotype
from searchspace.graph import OUTPUT, Layout, Point, layout, to_networkx

WIDE, HIGH = 2.8, 0.95  # inches between the centres of two layers and of two rows
CARD_WIDTH, CARD_HEIGHT = 0.66, 0.74  # of these
PORTS: Final = (0.02, -0.23)  # heights at which a block's first and second input arrive
LOW, KEY = ("#66A61E", "#E7B800", "#C2527A"), ("#8C6BB1", "#3B5B92")
COLOURS: Final = dict(zip(INPUTS, (PURPLE, BLUE, GREEN, ORANGE, RED, *LOW, *KEY), strict=True))


def cells(titled: Sequence[tuple[str, Genotype]]) -> Figure:
    """Draw cells under each other, each with its title. Lines into a block stand in the order of its inputs."""
    layouts = [layout(to_networkx(genotype)) for _, genotype in titled]
    spans = [_span(placed) for placed in layouts]
    width = max(right - left for left, right, _, _ in spans) * WIDE
    heights = [(top - bottom) * HIGH for _, _, bottom, top in spans]
    figure = Figure(figsize=(width, sum(heights) + 0.4 * len(titled) + 0.6), layout="constrained")
    panels = figure.subplots(len(titled), squeeze=False, height_ratios=heights).flat
    for axes, (title, genotype), placed, (left, _, bottom, top) in zip(panels, titled, layouts, spans, strict=True):
        axes.set(xlim=(left, left + width / WIDE), ylim=(bottom, top))
        axes.set_axis_off()
        axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
        _draw(axes, genotype, placed)
    explain(figure, glossary(caption for _, cell in titled for caption in _captions(cell)))
    return figure


def _captions(cell: Genotype) -> list[str]:
    """List all that is written on the cards of a cell."""
    choices = [choice for block in cell.blocks for choice in (*block.operations, block.aggregation_as_read)]
    return [*cell.sources, OUTPUT, *(short(str(choice)) for choice in choices)]


def _span(placed: Layout) -> tuple[float, float, float, float]:
    """Measure left, right, bottom and top of what a layout takes, with a margin."""
    points = [*placed.positions.values(), *(point for route in placed.routes.values() for point in route)]
    xs, ys = zip(*points, strict=True)
    return min(xs) - 0.4, max(xs) + 0.4, min(ys) - 0.5, max(ys) + 0.5


def _draw(axes: Axes, genotype: Genotype, placed: Layout) -> None:
    graph = to_networkx(genotype)
    for before, after, slot in graph.edges(keys=True):
        x, y = placed.positions[after]
        height = y + (PORTS[slot] if after != OUTPUT else 0)
        colour = COLOURS.get(before, "#555555")
        _line(axes, placed.positions[before], placed.routes[before, after], (x - CARD_WIDTH / 2, height), colour)
    for name, position in placed.positions.items():
        if name in COLOURS or name == OUTPUT:
            _card(axes, position, COLOURS.get(name, BLACK), height=0.4)
            axes.text(*position, name, ha="center", va="center", fontsize=9, color="white", fontweight="bold")
    for index, block in enumerate(genotype.blocks):
        x, y = placed.positions[f"block{index}"]
        _card(axes, (x, y), "#EEF4F8", CARD_HEIGHT)
        title = f"{index}: {short(str(block.aggregation_as_read))}"
        axes.text(x, y + 0.24, title, ha="center", va="center", fontsize=_size(title, "bold"), fontweight="bold")
        for height, operation in zip(PORTS, block.operations, strict=True):
            left = x - CARD_WIDTH / 2 + 0.03
            caption = short(str(operation))
            axes.text(left, y + height, caption, ha="left", va="center", fontsize=_size(caption))


def _size(caption: str, weight: str = "normal") -> float:
    """Find the size in points at which a caption fits into a card: 9, or less if it is long."""
    width = TextPath((0, 0), caption, size=9, prop=FontProperties(weight=weight)).get_extents().width  # 1/72 inch
    return 9 * min(1, 0.82 * CARD_WIDTH * WIDE * 72 / width)  # of the card's width, as the figure has margins


def _card(axes: Axes, centre: Point, colour: str, height: float) -> None:
    corner = (centre[0] - CARD_WIDTH / 2, centre[1] - height / 2)
    rounded = "round,pad=0,rounding_size=0.04"
    card = FancyBboxPatch(corner, CARD_WIDTH, height, boxstyle=rounded, fc=colour, ec="#444444", lw=0.8, zorder=3)
    axes.add_patch(card)


def _line(axes: Axes, start: Point, route: Sequence[Point], port: Point, colour: str) -> None:
    """Draw a line from the right edge of a card to a port; it bends between layers and runs straight past cards."""
    half = CARD_WIDTH / 2
    stops = [start, *route]
    points, codes = [(start[0] + half, start[1])], [Curve.MOVETO]
    for place, (_, y) in enumerate([*route, port]):
        (x, before), gap = (stops[place][0] + half, points[-1][1]), 1 - CARD_WIDTH
        points += [(x + gap / 2, before), (x + gap / 2, y), (x + gap, y)]
        codes += [Curve.CURVE4] * 3
        if place < len(route):
            points.append((x + gap + CARD_WIDTH, y))
            codes.append(Curve.LINETO)
    curve = Curve(points, codes)
    axes.add_patch(FancyArrowPatch(path=curve, arrowstyle="-|>", mutation_scale=9, color=colour, lw=1.5, zorder=2))
