"""Trained networks that ship with dyncell: their names stand for files, wherever a trained network is asked for."""

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).with_name("shipped_networks")


def names() -> list[str]:
    """List the names of the networks that ship."""
    return sorted(path.stem for path in FOLDER.glob("*.pt"))


def find(path: Path) -> Path:
    """Find the file that a path stands for: itself, or a network that ships if it is the name of one and nothing else.

    A file of one's own comes first, and so does a folder with trained networks in it.
    """
    if str(path) not in names() or path.is_file() or any(path.glob("**/network.pt")):
        return path
    return FOLDER / f"{path}.pt"
