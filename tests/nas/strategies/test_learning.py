"""Do the strategies that learn beat random search? On a made-up reward, at equal budget, over ten seeds."""

from collections import deque
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from nas.runs.trial import Trial
from nas.settings.config import SearchConfig
from nas.settings.strategy_config import PPOConfig
from nas.strategies.catalog import make_strategy
from searchspace.space import Space

SEEDS = range(10)


def rewards(config, space, trials):
    """What a search earns when a cell's reward is how much it agrees with a hidden cell.

    Half of it is the share of tokens that agree, half the share of neighbouring pairs that agree together.
    """
    hidden = np.array(space.tokens(space.uniform(np.random.default_rng([9, config.seed]))))
    strategy, untold, earned = make_strategy(config, space), deque(), []
    for number in range(trials):
        if number >= config.lookahead:
            strategy.tell(untold.popleft())
        cell = strategy.ask()
        agrees = np.array(space.tokens(cell)) == hidden
        earned.append(float(agrees.mean() + (agrees[1:] & agrees[:-1]).mean()) / 2)
        untold.append(Trial(number=number, genotype=cell, status="finished", reward=earned[-1]))
    return earned


def last_quarter(config, space, trials):
    """Mean reward of the last quarter of the trials, one number a seed."""
    return [np.mean(rewards(replace(config, seed=seed), space, trials)[-trials // 4 :]) for seed in SEEDS]


def is_greater(ours, theirs):
    return mannwhitneyu(ours, theirs, alternative="greater").pvalue < 0.01


EAGER = PPOConfig(clip=0.9, learning_rate=3e-3, buffer=20, minibatch=20)  # for plain PPO and few trials: larger steps


@pytest.mark.parametrize("strategy", ["ppo", "ppo_plain", "evolution"])
def test_it_beats_random_search_on_cells_of_two_blocks_within_80_trials(strategy):
    space = Space.load("paper", blocks=2)
    ppo = EAGER if strategy == "ppo_plain" else PPOConfig()
    configs = [SearchConfig(strategy=name, ppo=ppo) for name in (strategy, "random")]
    ours, theirs = (last_quarter(config, space, 80) for config in configs)
    assert is_greater(ours, theirs)
