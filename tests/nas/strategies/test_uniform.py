from collections import Counter

from nas.runs.trial import Trial
from nas.strategies.uniform import Uniform
from searchspace.space import Space

SPACE = Space.load("paper")


def test_a_seed_gives_the_same_cells_whatever_is_told():
    silent, told, other = Uniform(SPACE, seed=1), Uniform(SPACE, seed=1), Uniform(SPACE, seed=2)
    cells = [silent.ask() for _ in range(5)]
    for number, cell in enumerate(cells):
        assert told.ask() == cell
        told.tell(Trial(number=number, genotype=cell, status="finished", reward=1.0))
    assert other.ask() != cells[0]
    assert len(set(cells)) == 5


def test_every_choice_of_every_decision_is_as_likely():
    strategy = Uniform(SPACE, seed=0)
    strings = [SPACE.tokens(strategy.ask()) for _ in range(1500)]
    for decision, tokens in zip(SPACE.decisions, zip(*strings, strict=True), strict=True):
        expected = 1500 / decision.choices
        counts = Counter(tokens)
        chi_square = sum((counts[choice] - expected) ** 2 / expected for choice in range(decision.choices))
        assert chi_square < 30  # at most 8 degrees of freedom: 30 is passed once in 5,000
