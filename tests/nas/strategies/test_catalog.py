from typing import get_args, get_type_hints

import pytest

from nas.runs.trial import Trial
from nas.settings.config import ControllerConfig, EvolutionConfig, SearchConfig
from nas.strategies.catalog import STRATEGIES, make_strategy
from searchspace.space import Space

SPACE = Space.load("paper")


def test_the_catalog_has_exactly_the_strategies_that_a_person_may_ask_for():
    assert set(STRATEGIES) == set(get_args(get_type_hints(SearchConfig)["strategy"]))


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("lookahead", [1, 8])
def test_a_strategy_is_a_function_of_its_seed_and_of_what_it_was_told(name, lookahead):
    def cells(seed, best):
        small = {"controller": ControllerConfig(hidden=10), "evolution": EvolutionConfig(population=10)}
        strategy = make_strategy(SearchConfig(strategy=name, seed=seed, **small), SPACE)
        asked = []
        for number in range(30):
            if number >= lookahead:
                told = number - lookahead
                reward = None if told == 4 else float(asked[told].blocks[0].aggregation.name == best)
                status = "failed" if reward is None else "finished"
                strategy.tell(Trial(number=told, genotype=asked[told], status=status, reward=reward))
            asked.append(strategy.ask())
        return asked

    first = cells(seed=1, best="concat")
    assert cells(seed=1, best="concat") == first
    assert cells(seed=2, best="concat") != first
