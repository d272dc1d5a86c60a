from collections import Counter

import numpy as np

from nas.runs.trial import Trial
from nas.settings.strategy_config import EvolutionConfig
from nas.strategies.evolution import Evolution, mutate
from nas.strategies.uniform import Uniform
from searchspace.space import Space

SPACE = Space.load("paper")


def told(number, genotype, reward):
    status = "failed" if reward is None else "finished"
    return Trial(number=number, genotype=genotype, status=status, reward=reward)


def distance(one, other):
    return sum(a != b for a, b in zip(SPACE.tokens(one), SPACE.tokens(other), strict=True))


def test_a_mutation_changes_exactly_one_token_each_to_each_other_value():
    rng = np.random.default_rng(0)
    parent = SPACE.uniform(rng)
    before = SPACE.tokens(parent)
    seen = Counter()
    for _ in range(6000):
        child = SPACE.tokens(mutate(parent, SPACE, rng))
        ((place, token),) = [(i, b) for i, (a, b) in enumerate(zip(before, child, strict=True)) if a != b]
        seen[place, token] += 1
    assert len(seen) == sum(decision.choices - 1 for decision in SPACE.decisions)
    by_place = Counter(place for place, token in seen.elements())
    assert all(180 < by_place[place] < 300 for place in range(25))  # 240 expected, standard deviation 15


def test_a_decision_without_a_choice_does_not_mutate():
    one_operation = Space("one", 1, SPACE.inputs, SPACE.operations[:1], SPACE.aggregations[:1])
    rng = np.random.default_rng(0)
    parent = one_operation.uniform(rng)
    assert all(mutate(parent, one_operation, rng) != parent for _ in range(20))


def test_the_first_population_is_drawn_uniformly_and_then_the_best_has_children():
    config = EvolutionConfig(population=6, tournament=6)
    evolution, uniform = Evolution(SPACE, config, seed=3), Uniform(SPACE, seed=3)
    cells = [evolution.ask() for _ in range(6)]
    assert cells == [uniform.ask() for _ in range(6)]
    for number, cell in enumerate(cells):
        evolution.tell(told(number, cell, reward=0.9 if number == 2 else 0.1))
    assert distance(evolution.ask(), cells[2]) == 1


def test_the_oldest_dies_however_good_it_was():
    evolution = Evolution(SPACE, EvolutionConfig(population=3, tournament=3), seed=3)
    cells = [evolution.ask() for _ in range(3)]
    for number, cell in enumerate(cells):
        evolution.tell(told(number, cell, reward=[0.9, 0.2, 0.1][number]))
    child = evolution.ask()
    assert distance(child, cells[0]) == 1
    evolution.tell(told(3, child, reward=0.05))
    assert distance(evolution.ask(), cells[1]) == 1


def test_a_failed_trial_is_no_member_and_drives_nobody_out():
    evolution = Evolution(SPACE, EvolutionConfig(population=2, tournament=2), seed=3)
    cells = [evolution.ask() for _ in range(4)]
    for number, reward in enumerate([0.5, None, 0.4, None]):
        evolution.tell(told(number, cells[number], reward))
    assert distance(evolution.ask(), cells[0]) == 1


def test_with_too_few_members_for_a_tournament_it_keeps_drawing_uniformly():
    evolution, uniform = Evolution(SPACE, EvolutionConfig(population=4, tournament=2), seed=3), Uniform(SPACE, seed=3)
    for number in range(10):
        cell = evolution.ask()
        assert cell == uniform.ask()
        evolution.tell(told(number, cell, reward=None))
