"""Plot: a picture with the numbers that it shows, on disk as PNG, SVG and CSV and inside a page as SVG."""

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.text import Text

from cache.atomic import atomic_path
from nas.labelled_video.fonts import families
from nas.reporting.tabular import csv_text

Rows = Sequence[Sequence[object]]  # a table, its header first


@dataclass(frozen=True, eq=False)
class Plot:
    """A picture and its numbers. The same figure gives the same bytes."""

    name: str
    """Stem of its files."""
    figure: Figure
    rows: Rows = ()
    """Table of what is drawn; empty if the numbers stand elsewhere."""

    @cached_property
    def svg(self) -> bytes:
        """The picture as SVG."""
        return _rendered(self.figure, "svg")

    def save(self, folder: Path) -> list[Path]:
        """Write <name>.png, .svg and, of a picture with numbers, .csv; return their paths. Raises OSError."""
        contents = {"png": _rendered(self.figure, "png"), "svg": self.svg}
        if self.rows:
            contents["csv"] = csv_text(self.rows).encode()
        return [_write(folder / f"{self.name}.{suffix}", content) for suffix, content in contents.items()]


def _rendered(figure: Figure, form: str) -> bytes:
    buffer = io.BytesIO()
    texts = (text.get_text() for text in figure.findobj(Text) if isinstance(text, Text))
    with mpl.rc_context({"svg.hashsalt": "dyncell", "font.sans-serif": families(texts)}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")  # `families` has said so
        figure.savefig(buffer, format=form, dpi=150, metadata={"Date": None} if form == "svg" else {})
    return buffer.getvalue()


def _write(path: Path, content: bytes) -> Path:
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return path
