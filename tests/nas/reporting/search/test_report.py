"""The command that a search's report names to go on with."""

import shlex
from pathlib import Path

import pytest

from nas.reporting.search.report import retraining


@pytest.mark.parametrize(
    ("preset", "dataset", "flags"),
    [
        ("quick", "shapes", ["--preset", "quick"]),
        ("my presets/own.yaml", "camvid", ["--preset", "my presets/own.yaml"]),
        (None, "video", ["--preset", "video"]),  # whose preset a search takes by itself
        (None, "camvid", []),
    ],
)
def test_the_next_command_trains_by_the_preset_of_the_search(preset, dataset, flags):
    words = shlex.split(retraining(Path("runs/a b"), preset, dataset))
    assert words == ["python", "-m", "nas.retrain", "--run", "runs/a b", "--top-k", "2", *flags]
