"""Tables of text, as CSV and as columns for a person, and the statistics that their cells show."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from tabulate import tabulate

from cache.atomic import write_text

ABSENT: Final = "–"  # noqa: RUF001 (an en dash is what a table's empty cell holds)


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Format a table whose first row is its header as CSV."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def write_csv(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Write a table whose first row is its header, atomically. Raises OSError."""
    write_text(path, csv_text(rows))


def aligned_table(headers: Sequence[str], lines: Sequence[Sequence[object]], form: str) -> str:
    """Format a table with its first column left and all others right; `form` is tabulate's name of the format."""
    sides = ("left", *["right"] * (len(headers) - 1))
    return str(tabulate(lines, headers=headers, tablefmt=form, colalign=sides, disable_numparse=True))


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Compute mean and sample standard deviation; the latter is NaN for a single value."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
