"""Fixtures of all drills: their helpers can be imported, and each says in one line what it did."""

import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def tell(capsys):
    """Print a line about a drill that found nothing, past pytest's capture; one that finds something fails."""

    def line(drill, cases, more=""):
        with capsys.disabled():
            print(f"\n{drill}: {cases:,} cases, 0 found{more and f'; {more}'}", flush=True)

    return line


@pytest.fixture
def folder():
    """Make an empty folder, in memory where there is such a place: drills write tens of thousands of files."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as path:
        yield Path(path)
