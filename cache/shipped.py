"""Trained networks that ship with dyncell: their names stand for files, wherever a trained network is asked for."""

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).with_name("shipped_networks")


def names() -> list[str]:
    """List the names of the networks that ship."""
    return sorted(path.stem for path in FOLDER.glob("*.pt"))


def find(path: Path) -> Path:
    """Find the file that a path stands for: itself, or a network that ships if it is the name of one and nothing else.

    A file or folder of one's own comes first.
    """
    shipped = FOLDER / f"{path}.pt"
    return shipped if str(path) in names() and not path.exists() else path
