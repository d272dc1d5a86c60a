"""Samplers of Optuna as strategies."""

import pytest

from nas.landscapes.catalog import make_landscape
from nas.landscapes.search import replay
from nas.runs.trial import Trial
from nas.settings.config import SearchConfig
from nas.strategies.catalog import make_strategy
from searchspace.space import Space

optuna = pytest.importorskip("optuna")

SPACE = Space.load("paper", blocks=2)
TPE = "nas.strategies.optuna_sampler:tpe"


def cells(strategy, trials=25):
    return [trial.genotype for trial in replay(strategy, make_landscape("made-up", SPACE, 0), trials, 4, 0)]


def test_tpe_is_a_function_of_its_seed_and_of_what_it_was_told():
    first, again, other = (cells(make_strategy(SearchConfig(strategy=TPE, seed=seed), SPACE)) for seed in (1, 1, 2))
    assert first == again != other


def test_any_sampler_proposes_cells_of_the_space_and_survives_failures():
    from nas.strategies.optuna_sampler import OptunaStrategy

    strategy = OptunaStrategy(SPACE, optuna.samplers.RandomSampler(seed=0))
    for number in range(6):
        cell = strategy.ask()
        assert SPACE.genotype(SPACE.tokens(cell)) == cell
        failed = number % 2 == 1
        reward, status = (None, "failed") if failed else (0.5, "finished")
        strategy.tell(Trial(number=number, genotype=cell, status=status, reward=reward))
    states = [trial.state.name for trial in strategy._study.trials]
    assert states == ["COMPLETE", "FAIL"] * 3


def test_it_starts_from_the_cells_that_it_is_given():
    start = [SPACE.genotype(tokens) for tokens in ((0,) * 10, (1,) * 10)]
    strategy = make_strategy(SearchConfig(strategy=TPE, warm_start=True), SPACE, start)
    assert [strategy.ask(), strategy.ask()] == start
