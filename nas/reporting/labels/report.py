"""Report of `nas.check`: tables, what is suspicious, a sheet of overlays and a page."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image
from tabulate import tabulate

from cache.atomic import atomic_path, write_text
from cache.datasets.census import Census
from cache.datasets.clips import Dataset, Frame, clips, windows
from cache.datasets.findings import window_lengths
from cache.datasets.survey import Survey
from nas.reporting import html_page
from nas.reporting.labels.sheet import draw_sheet, spread
from nas.reporting.provenance import provenance

SHOWN: Final = 12  # frames on the sheet
TOLD: Final = 20  # problems told one by one
LENGTHS: Final = (2, 3, 5)  # frames of the windows that are counted
Row = Sequence[object]


@dataclass(frozen=True, eq=False)
class Checked:
    """Everything that was found out about a data set."""

    dataset: Dataset
    surveys: Sequence[Survey]
    censuses: Sequence[Census]
    """Counts of the splits that have no problem."""
    suspicions: Sequence[str]
    refusals: Sequence[str] = ()
    """Why a training would refuse splits whose every file can be read."""

    @property
    def problems(self) -> list[str]:
        """Faults that have to be mended before a training."""
        return [*(problem for survey in self.surveys for problem in survey.problems), *self.refusals]

    def split_table(self) -> str:
        """Tabulate frames, labels, sizes, gaps and windows by split."""
        lengths = [f"windows of {length}" for length in LENGTHS]
        headers = ["split", "sequences", "clips", "frames", "labelled", "height x width", "gaps", *lengths]
        return tabulate([_split_row(survey) for survey in self.surveys], headers, "github", disable_numparse=True)

    def class_table(self) -> str:
        """Tabulate by split the share of each class and of void in the labelled pixels, and the frames that show it."""
        headers = ["class", *(f"{c.split}: {what}" for c in self.censuses for what in ("% of pixels", "frames"))]
        rows: list[Row] = []
        for place, name in enumerate([*self.dataset.classes, "void"]):
            cells = [cell for census in self.censuses for cell in _class_cells(census, place)]
            rows.append([name, *cells])
        return tabulate(rows, headers, "github", disable_numparse=True) if self.censuses else ""

    def text(self) -> str:
        """Write all of it for a terminal."""
        told = self.problems[:TOLD]
        more = [f"and {len(self.problems) - TOLD} more"] if len(self.problems) > TOLD else []
        parts = {
            "": self.split_table(),
            "Labels": self.class_table(),
            "To be mended": _bullets([*told, *more]),
            "Suspicious": _bullets(self.suspicions),
        }
        texts = [f"{heading}\n\n{text}".strip() for heading, text in parts.items() if text]
        fine = [] if self.problems or self.suspicions else ["Nothing has to be mended, and nothing is suspicious."]
        return "\n\n".join(texts + fine)


def write_report(checked: Checked, folder: Path) -> Path:
    """Write `check.png`, where a frame can be shown, and `check.html`; return the page.

    Raises:
        OSError: the folder cannot be written or the disk is full.
    """
    dataset, sections = checked.dataset, {}
    shown = _shown(checked)
    if shown:
        with atomic_path(folder / "check.png") as path:
            Image.fromarray(draw_sheet(dataset, shown)).save(path, "PNG")
        caption = "Labelled frames of " + ", ".join(frame.name for frame in shown)
        sections["Frames under their labels"] = html_page.picture((folder / "check.png").read_bytes(), caption, "png")
    sections |= {
        "Splits": _table(checked.split_table()),
        "Labels": _table(checked.class_table()),
        "To be mended": _list(checked.problems),
        "Suspicious": _list(checked.suspicions),
    }
    text = html_page.page(f"Labels of {dataset.name}", provenance(), sections)
    write_text(folder / "check.html", text)
    return folder / "check.html"


def _shown(checked: Checked) -> list[Frame]:
    good = {census.split for census in checked.censuses}
    surveys = [survey for survey in checked.surveys if survey.split in good]
    return [frame for survey in surveys for frame in spread(survey.frames, SHOWN // len(surveys))]


def _split_row(survey: Survey) -> Row:
    frames = survey.frames
    counts = [len({f.sequence for f in frames}), len(clips(frames)), len(frames), sum(f.labelled for f in frames)]
    sizes = Counter({f"{height}x{width}": count for (height, width), count in survey.sizes.items()})
    return [survey.split, *counts, _most(sizes), _most(survey.gaps), *(_windows(frames, each) for each in LENGTHS)]


def _windows(frames: Sequence[Frame], length: int) -> str:
    """Count windows of a length, and say which others there are where clips are too short for it."""
    found = windows(frames, length)
    short = any(len(window.positions) < length for window in found)
    return window_lengths(found, length) if short or not found else str(len(found))


def _most(counts: Counter[str] | Counter[int], named: int = 3) -> str:
    told = [str(value) if len(counts) == 1 else f"{value} ({count})" for value, count in counts.most_common(named)]
    return ", ".join(told) + (", ..." if len(counts) > named else "")


def _class_cells(census: Census, place: int) -> tuple[str, int]:
    pixels = census.pixels[:, place]
    total = max(1, int(census.pixels.sum()))
    return f"{100 * pixels.sum() / total:.2f}", int(np.count_nonzero(pixels))


def _bullets(texts: Sequence[str]) -> str:
    return "\n".join(f"- {text}" for text in texts)


def _list(texts: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in texts)}</ul>" if texts else ""


def _table(markdown: str) -> str:
    return html_page.code_block(markdown) if markdown else ""
