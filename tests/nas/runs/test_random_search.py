from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.runs.comparable import read_run
from nas.runs.random_search import expected_best, sister_runs
from nas.runs.store import RunStore
from nas.runs.trial import Trial
from nas.settings.config import CandidateConfig, SearchConfig
from nas.settings.config_files import identity, to_mapping
from nas.strategies.catalog import settings_of
from searchspace.space import Space

SPACE = Space.load("paper", blocks=1)
CELL = SPACE.genotype((0,) * len(SPACE.decisions))


def make_run(directory, trials=3, *, features="one", **settings):
    config = SearchConfig(**settings)
    with RunStore.open(directory, identity=identity(config), config=to_mapping(config)) as store:
        store.bind("features", features)
        for number in range(trials):
            store.append(Trial(number=number, genotype=CELL, status="finished", reward=0.5))
    return read_run(directory)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7), st.data())
def test_the_expected_best_is_the_mean_over_all_draws(rewards, data):
    budget = data.draw(st.integers(1, len(rewards)))
    draws = [max(draw) for draw in combinations(rewards, budget)]
    assert expected_best(rewards, budget) == pytest.approx(np.mean(draws))


@pytest.mark.parametrize("budget", [0, 3])
def test_no_budget_beyond_what_is_known(budget):
    with pytest.raises(ValueError, match="cannot be drawn from 2"):
        expected_best([0.5, 0.6], budget)


def test_sisters_are_random_searches_of_one_problem_no_shorter(tmp_path):
    mine = make_run(tmp_path / "mine")
    make_run(tmp_path / "ppo", seed=1)
    make_run(tmp_path / "features", strategy="random", features="two")
    make_run(tmp_path / "short", 2, strategy="random")
    make_run(tmp_path / "recipe", strategy="random", candidate=CandidateConfig(epochs=4))
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "config.yaml").write_text("seed: {}")
    (tmp_path / "unreadable" / "config.yaml").mkdir(parents=True)
    assert sister_runs(mine, settings_of) == []
    sisters = [
        make_run(tmp_path / "same", 4, strategy="random"),
        make_run(tmp_path / "seed", strategy="random", seed=2),
    ]
    assert sister_runs(mine, settings_of) == sisters
    assert sister_runs(sisters[0], settings_of) == []
