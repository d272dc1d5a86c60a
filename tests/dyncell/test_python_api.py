"""Every example of docs/python-api.md, run as it stands there."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from baselines.fixed_points import FIXED_POINTS
from cache.static.network import StaticNetwork
from nas.networks.heads import build_head
from nas.networks.video_network import VideoNetwork, save_video_network
from nas.runs.trial import Trial
from nas.settings.config import SearchConfig
from nas.strategies.catalog import make_strategy
from searchspace.space import Space

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "python-api.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"^## ([^\n]+)\n(?:(?!^## ).)*?^```python\n(.*?)^```$", PAGE, flags=re.M | re.S))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The folder that the page speaks of."""
    folder = tmp_path_factory.mktemp("api")
    static = StaticNetwork(3)
    network = VideoNetwork(static, build_head(FIXED_POINTS["tmanet"], static.channels, 3, seed=0))
    save_video_network(folder / "network.pt", network, {"size": [32, 48]})
    (folder / "clip").mkdir()
    for number in range(3):
        Image.fromarray(np.full((40, 60, 3), 80 * number, np.uint8)).save(folder / "clip" / f"{number}.png")
    return folder


def test_every_block_of_the_page_is_an_example():
    assert len(EXAMPLES) == PAGE.count("```python") == 8


@pytest.mark.parametrize(
    "title", [pytest.param(title, marks=[pytest.mark.slow] if "Ray" in title else []) for title in EXAMPLES]
)
def test_an_example_runs(title, home):
    if "import optuna" in EXAMPLES[title] and find_spec("optuna") is None:
        pytest.skip("optuna is not installed, and no part of dyncell needs it")
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    words = [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", EXAMPLES[title]]
    result = subprocess.run(words, capture_output=True, text=True, cwd=home, env=environment, timeout=300)
    assert result.returncode == 0, result.stderr


def test_the_strategy_of_the_page_is_found_and_climbs(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(EXAMPLES["A strategy of one's own"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    space = Space.load("paper")
    strategy = make_strategy(SearchConfig(strategy="mine:HillClimber"), space)
    rewards = []
    for number in range(200):
        genotype = strategy.ask()
        rewards.append(np.mean([token == 0 for token in space.tokens(genotype)]))
        strategy.tell(Trial(number=number, genotype=genotype, status="finished", reward=float(rewards[-1])))
    assert max(rewards) > rewards[0] + 0.4
