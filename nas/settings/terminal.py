"""Terminals that cannot show every character: what they lack is written otherwise, and no command ends for it."""

import codecs
import io
import sys
from typing import Final

PLAIN: Final = {"±": "+-", "–": "-", "—": "-", "×": "x", "²": "2", "…": "...", "→": "->"}  # noqa: RUF001


def write_what_it_can() -> None:
    """Let standard output and error replace characters that their encoding does not have."""
    codecs.register_error("dyncell.plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="dyncell.plain")


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Stand in for what cannot be encoded, as `codecs.register_error` wants it."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(PLAIN.get(character, "?") for character in error.object[error.start : error.end]), error.end
