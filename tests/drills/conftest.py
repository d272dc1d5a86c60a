"""What drills share: their helpers can be imported, and each says in one line what it did."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def tell(capsys):
    """Print a line past pytest's capture, of a drill that found nothing: one that finds something fails."""

    def line(drill, cases, more=""):
        with capsys.disabled():
            print(f"\n{drill}: {cases:,} cases, 0 found{more and f'; {more}'}", flush=True)

    return line
