"""Tables of evaluated networks, as Markdown that also reads well in a terminal, and the same numbers as CSV."""

from collections.abc import Iterable, Sequence
from math import isnan
from typing import Final

from nas.reporting.evaluation.record import Numbers, Row
from nas.reporting.tabular import ABSENT, aligned_table, csv_text, spread

Columns = Sequence[tuple[str, str, float, int]]  # heading, name of the number, factor, decimals

SCORES: Final[Columns] = (
    ("mIoU %", "miou", 100, 2),
    ("fwIoU %", "fwiou", 100, 2),
    ("mAcc %", "mean_accuracy", 100, 2),
    ("TC %", "tc", 100, 2),
)
AGREED: Final[Columns] = (
    ("agreement %", "miou", 100, 2),
    ("agreed pixels %", "pixel_accuracy", 100, 2),
    ("TC %", "tc", 100, 2),
)
COSTS: Final[Columns] = (
    ("params (M)", "parameters", 1e-6, 2),
    ("MACs / per-frame", "relative_macs", 1, 2),
    ("time / per-frame", "relative_latency", 1, 2),
    ("mean (ms)", "mean", 1e3, 1),
    ("state (kB)", "state_bytes", 1e-3, 0),
    ("peak (MB)", "peak_bytes", 1e-6, 0),
)
PROTOCOLS: Final[Columns] = (
    ("streamed mIoU %", "miou", 100, 2),
    ("windowed mIoU %", "windowed_miou", 100, 2),
    ("mIoU % of first frames", "first_miou", 100, 2),
    ("TC %", "tc", 100, 2),
    ("TC % unmasked", "tc_unmasked", 100, 2),
    ("TC % as ETC", "tc_etc", 100, 2),
)
WAYS_OF_AGREEING: Final[Columns] = (
    ("agreement streamed %", "miou", 100, 2),
    ("windowed %", "windowed_miou", 100, 2),
    *PROTOCOLS[3:],
)
KINDS: Final = (("static alone (ms)", "per_frame"), ("first (ms)", "first"), ("later (ms)", "later"))


def summary(rows: Sequence[Row], form: str = "github", agreed: bool = False) -> str:
    """Show scores and costs, a line a network.

    `form`, here and below, is tabulate's name of the format; `agreed` says that the labels are those of a network.
    """
    return _table(rows, [*(AGREED if agreed else SCORES), *COSTS, *_costs_at_other_sizes(rows)], form)


def _costs_at_other_sizes(rows: Sequence[Row]) -> Columns:
    """List columns of relative costs for each size after the first that they were found at."""
    relative = {name: column for column in COSTS if (name := column[1]).startswith("relative_")}
    named = [(name, *name.partition("_at_")) for name in _union(row.cost for row in rows)]
    return [
        (f"{relative[cost][0]} at {size}", name, 1, 2) for name, cost, _, size in named if size and cost in relative
    ]


def protocols(rows: Sequence[Row], form: str = "github", agreed: bool = False) -> str:
    """Show the ways of scoring side by side, a line a network."""
    return _table(rows, WAYS_OF_AGREEING if agreed else PROTOCOLS, form)


def latencies(rows: Sequence[Row], form: str = "github") -> str:
    """Show median milliseconds of each kind of frame, with 10th and 90th percentile, a line a network."""
    lines = [[row.name, *(_range(row.cost, kind) for _, kind in KINDS)] for row in rows if "mean" in row.cost]
    return aligned_table(("network", *(heading for heading, _ in KINDS)), lines, form) if lines else "Not measured."


def classes(rows: Sequence[Row], names: Sequence[str], shares: Sequence[float], form: str = "github") -> str:
    """Show the score of each class in percent, a line a class and a column a network, with its share of the pixels."""
    headers = ("class", "pixels %", *(row.name for row in rows))
    lines = [
        [name, f"{100 * share:.2f}", *(_mean_and_spread([iou[place] for iou in row.iou], 100, 2) for row in rows)]
        for place, (name, share) in enumerate(zip(names, shares, strict=True))
    ]
    return aligned_table(headers, lines, form)


def numbers_csv(rows: Sequence[Row]) -> str:
    """List all scores and costs in their own units ([0, 1], seconds, bytes), a line a seed."""
    scores = _union(each for row in rows for each in row.scores)
    costs = _union(row.cost for row in rows)
    lines = [
        [row.name, seed, *(each.get(score) for score in scores), *(row.cost.get(cost) for cost in costs)]
        for row in rows
        for seed, each in enumerate(row.scores)
    ]
    return csv_text([["network", "seed", *scores, *costs], *lines])


def classes_csv(rows: Sequence[Row], names: Sequence[str], shares: Sequence[float]) -> str:
    """List the IoU of each class in [0, 1], a line a network, seed and class; none for a class without labels."""
    lines = [
        [row.name, seed, name, share, None if isnan(value) else value]
        for row in rows
        for seed, iou in enumerate(row.iou)
        for name, share, value in zip(names, shares, iou, strict=True)
    ]
    return csv_text([["network", "seed", "class", "share_of_pixels", "iou"], *lines])


def _table(rows: Sequence[Row], columns: Columns, form: str) -> str:
    """Show a line a row, with mean and spread over its seeds; without columns that nothing is known for."""
    known = _union(numbers for row in rows for numbers in (*row.scores, row.cost))
    columns = [column for column in columns if column[1] in known]
    lines = [[row.name, len(row.iou) or ABSENT, *(_cell(row, *column[1:]) for column in columns)] for row in rows]
    return aligned_table(("network", "seeds", *(heading for heading, *_ in columns)), lines, form)


def _cell(row: Row, name: str, factor: float, decimals: int) -> str:
    values = [row.cost[name]] if name in row.cost else [each[name] for each in row.scores if name in each]
    return _mean_and_spread(values, factor, decimals)


def _mean_and_spread(values: Sequence[float], factor: float, decimals: int) -> str:
    if not values or isnan(values[0]):
        return ABSENT
    mean, deviation = spread(values)
    shown = f"{mean * factor:,.{decimals}f}"
    return shown if isnan(deviation) else f"{shown} ± {deviation * factor:.{decimals}f}"


def _range(cost: Numbers, kind: str) -> str:
    median, low, high = (1e3 * cost[f"{kind}{end}"] for end in ("", "_low", "_high"))
    return f"{median:.1f} ({low:.1f} to {high:.1f})"


def _union(numbers: Iterable[Numbers]) -> list[str]:
    """List all names, in the order in which they first occur."""
    return list(dict.fromkeys(name for each in numbers for name in each))
