"""Fonts that have the characters of a text, as names of classes may be in any script.

Matplotlib's own DejaVu Sans has Latin, Greek, Cyrillic, Armenian, Georgian, Hebrew and Arabic letters; for others, such
as Chinese ones, the fonts of the system are searched.
"""

import logging
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final

from matplotlib import font_manager
from matplotlib.font_manager import FontEntry

log = logging.getLogger(__name__)

BASE: Final = "DejaVu Sans"
BOXES: Final = "Last Resort"  # a font that has a box for every character


def families(texts: Iterable[str]) -> tuple[str, ...]:
    """Name the fonts in which some texts can be written: DejaVu Sans, and others for what it lacks.

    What no font has is said in the log, once, and becomes boxes.
    """
    wanted = {ord(character) for text in texts for character in text if character.isprintable()}
    return (BASE, *(entry.name for entry in _others(frozenset(wanted - _characters(_file(BASE))))))


def font_file(text: str) -> Path:
    """Return the file of the one font that has most of a text."""
    missing = {ord(character) for character in text if character.isprintable()} - _characters(_file(BASE))
    others = _others(frozenset(missing))
    return Path(others[0].fname if others else _file(BASE))


@cache
def _others(missing: frozenset[int]) -> tuple[FontEntry, ...]:
    """Find fonts of the system for characters, each having most of what those before it lack."""
    found, left = [], set(missing)
    while left:
        best = max(_upright(), key=lambda entry: len(left & _characters(entry.fname)), default=None)
        if best is None or not left & _characters(best.fname):
            listed = "".join(sorted(map(chr, left)))
            log.warning("no font of this machine has %s, so pictures show boxes; install one, such as Noto", listed)
            break
        found.append(best)
        left -= _characters(best.fname)
    return tuple(found)


def _upright() -> list[FontEntry]:
    """List the installed fonts of ordinary style, in an order that does not depend on the machine's."""
    entries = font_manager.fontManager.ttflist
    ordinary = [entry for entry in entries if entry.style == "normal" and entry.weight in (400, "normal", "regular")]
    return sorted((e for e in ordinary if not e.name.startswith(BOXES)), key=lambda entry: (entry.name, entry.fname))


@cache
def _file(family: str) -> str:
    return str(font_manager.findfont(family))


@cache
def _characters(file: str) -> frozenset[int]:
    """Return the code points that a font has; none if its file cannot be read."""
    try:
        return frozenset(font_manager.get_font(file).get_charmap())
    except (RuntimeError, OSError):
        return frozenset()
