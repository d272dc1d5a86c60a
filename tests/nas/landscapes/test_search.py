"""Replayed searches against `nas.search` itself on the same rewards."""

from types import SimpleNamespace

import numpy as np
import pytest

from nas.landscapes.catalog import make_landscape
from nas.landscapes.search import replay, reward_of, summarise
from nas.runs.store import RunStore
from nas.runs.trial import Trial
from nas.search import search
from nas.settings.config import SearchConfig
from nas.strategies.catalog import make_strategy
from nas.training.candidates.early_stopping import EarlyStopping
from nas.workers.executor import InlineExecutor
from searchspace.space import Space

SPACE = Space.load("paper", blocks=1)  # 5,400 cells, so that some come again
LANDSCAPE = make_landscape("rugged", SPACE, seed=1)


def trained(config):
    """Trials of `nas.search` with an evaluator that looks rewards up."""

    def evaluate(job):
        reward = reward_of(LANDSCAPE, job.genotype, config.seed)
        return Trial(number=job.number, genotype=job.genotype, status="finished", reward=reward)

    return InlineExecutor(lambda: evaluate)


@pytest.mark.parametrize("strategy", ["random", "ppo", "evolution"])
@pytest.mark.parametrize("lookahead", [1, 5])
def test_a_replay_asks_and_tells_as_a_search_does(strategy, lookahead, tmp_path):
    config = SearchConfig(strategy=strategy, trials=25, lookahead=lookahead, seed=4)
    with RunStore.open(tmp_path / "run", identity={}, config={}) as store:
        search(make_strategy(config, SPACE), trained(config), store, config, EarlyStopping())
        expected = sorted(store.trials, key=lambda trial: trial.number)
    ours = replay(make_strategy(config, SPACE), LANDSCAPE, config.trials, lookahead, config.seed)
    assert [(t.genotype, t.reward, t.repeat_of) for t in ours] == [
        (t.genotype, t.reward, t.repeat_of) for t in expected
    ]


def test_rewards_scatter_around_the_true_value_by_the_noise():
    cell = SPACE.uniform(np.random.default_rng(0))
    rewards = [reward_of(LANDSCAPE, cell, seed) for seed in range(2000)]
    assert np.mean(rewards) == pytest.approx(LANDSCAPE.value(cell), abs=4 * LANDSCAPE.noise / 2000**0.5)
    assert np.std(rewards) == pytest.approx(LANDSCAPE.noise, rel=0.1)


def test_a_summary_counts_true_values_and_takes_the_cell_with_the_best_reward_home():
    worth = {0: 0.5, 1: 0.8, 2: 0.7}  # true values of cells by their number
    cells = [SPACE.uniform(np.random.default_rng(seed)) for seed in range(3)]
    rewards = [0.55, 0.6, 0.9]
    flat = SimpleNamespace(mean=0.6, spread=0.1, noise=0.0, value=lambda cell: worth[cells.index(cell)])
    trials = [
        *(Trial(number=n, genotype=cells[n], status="finished", reward=rewards[n]) for n in range(3)),
        Trial(number=3, genotype=cells[0], status="finished", reward=rewards[0], repeat_of=0),
    ]
    found = summarise(flat, trials, (1, 2, 4))
    assert found.curve == pytest.approx((-1, 2, 2, 2))
    assert found.chosen == pytest.approx((-1, 2, 1))
    assert found.late == pytest.approx((-1 + 2 + 1 - 1) / 4)
    assert found.different == 3
