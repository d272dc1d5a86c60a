"""What drills share: their helpers can be imported, and each says in one line what it did."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def tell(capsys):
    """Print a line past pytest's capture."""

    def line(drill, cases, found, more=""):
        with capsys.disabled():
            print(f"\n{drill}: {cases:,} cases, {found} found{more and f'; {more}'}", flush=True)

    return line
