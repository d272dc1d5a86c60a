"""An objective turns scores and costs into a reward that a trial may have."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.training.candidates.objective import OBJECTIVES, geometric_mean

COSTS = {"parameters": 1000, "macs": 10**6, "state_bytes": 0}
SCORE = st.floats(0, 1)


def test_the_geometric_mean_worked_out_by_hand():
    scores = {"miou": 7 / 12, "fwiou": 5 / 8, "mean_accuracy": 5 / 6}
    assert geometric_mean(scores, COSTS) == pytest.approx((175 / 576) ** (1 / 3))


@pytest.mark.parametrize("name", OBJECTIVES)
@given(miou=SCORE, fwiou=SCORE, accuracy=SCORE)
def test_a_reward_lies_between_0_and_1(name, miou, fwiou, accuracy):
    scores = {"miou": miou, "fwiou": fwiou, "mean_accuracy": accuracy}
    assert 0 <= OBJECTIVES[name].reward(scores, COSTS) <= 1


@pytest.mark.parametrize("name", OBJECTIVES)
def test_what_is_perfect_is_worth_1_and_what_is_wholly_wrong_0(name):
    names = ("miou", "fwiou", "mean_accuracy")
    assert OBJECTIVES[name].reward(dict.fromkeys(names, 1.0), COSTS) == 1
    assert OBJECTIVES[name].reward(dict.fromkeys(names, 0.0), COSTS) == 0


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=list(OBJECTIVES))
def test_an_objective_says_what_it_is(objective):
    assert all(getattr(objective, field.name) for field in fields(objective))
