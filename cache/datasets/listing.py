"""Listing folders of images and masks, so that no file a person sees is left out without a word."""

import logging
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cache.errors import DataError

log = logging.getLogger(__name__)

IMAGE_SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm"})
MASK_SUFFIXES: Final = frozenset({".png"})
PICTURE_SUFFIXES: Final = IMAGE_SUFFIXES | frozenset(
    {".tif", ".tiff", ".gif", ".jp2", ".jxl", ".avif", ".heic", ".heif", ".pgm", ".pnm", ".tga", ".exr", ".dng", ".npy"}
)
"""Endings that other tools give a frame or a mask; where such a file is not read, somebody misses it."""
_CLUTTER: Final = frozenset(
    {
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "icon\r",
        "@eadir",
        "#recycle",
        "$recycle.bin",
        "__macosx",
        "lost+found",
    }
    | {"system volume information", "__pycache__"}
)
_NOTES: Final = ("readme", "license", "licence")


def visible(folder: Path) -> list[Path]:
    """List what a person put into a folder, in the order of names; what systems leave there is none of it.

    Raises:
        DataError: the folder is missing or cannot be read.
    """
    try:
        return sorted(path for path in folder.iterdir() if not _is_clutter(path.name))
    except OSError as error:
        raise DataError(f"cannot list the folder {folder}: {error.strerror}; check the data set's layout") from error


def folders(folder: Path) -> list[Path]:
    """List the visible folders in a folder. Raises DataError as `visible` does."""
    return [path for path in visible(folder) if path.is_dir()]


def by_stem(folder: Path, suffixes: frozenset[str], beside: frozenset[str] = frozenset()) -> dict[str, Path]:
    """List the visible files of a folder with one of these suffixes, by name without suffix.

    Other files are told of by a warning, unless they have one of the suffixes that may lie `beside`.

    Raises:
        DataError: the folder is missing or cannot be read, two files differ only in their suffix, or there are
            pictures of a kind that is not read.
    """
    found: dict[str, Path] = {}
    others = []
    for path in visible(folder):
        if path.suffix.lower() not in suffixes or path.is_dir():
            others += [] if path.suffix.lower() in beside else [path]
        elif (stem := _stem(path)) in found:
            raise DataError(f"{found[stem]} and {path} are the same frame; remove one of them")
        else:
            found[stem] = path
    if pictures := [path for path in others if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()]:
        raise DataError(
            f"{_count(len(pictures), 'file')} in {folder} would be left out, the first is {pictures[0].name}: what is "
            f"read there ends in {' or '.join(sorted(suffixes))}; convert {'it' if len(pictures) == 1 else 'them'} "
            "(without loss, if they are masks), or move them away"
        )
    warn_unused(others, folder)
    return found


def warn_unused(paths: Iterable[Path], folder: Path) -> None:
    """Tell how many things in a folder are not used, and name the first."""
    unused = [path for path in paths if not path.name.lower().startswith(_NOTES)]
    if unused:
        log.warning("%s in %s not used, the first is %s", _count(len(unused), "thing"), folder, unused[0].name)


def _stem(path: Path) -> str:
    """Name a frame: by one spelling of accents, as macOS has another, and without a second suffix as in 1.jpg.png."""
    stem = unicodedata.normalize("NFC", path.stem)
    return Path(stem).stem if Path(stem).suffix.lower() in IMAGE_SUFFIXES else stem


def _is_clutter(name: str) -> bool:
    return name.startswith((".", "~$")) or name.lower() in _CLUTTER


def _count(number: int, what: str) -> str:
    return f"1 {what}" if number == 1 else f"{number} {what}s"
