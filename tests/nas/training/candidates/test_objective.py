"""An objective says what scores are worth, and a target of cost what is left of it: a reward that a trial may have."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.settings.config import CandidateConfig
from nas.settings.errors import RunError
from nas.training.candidates.objective import OBJECTIVES, explanation, factor_of_cost, geometric_mean, label

NAMES = ("miou", "fwiou", "mean_accuracy", "agreement_miou", "agreement")
SCORE = st.floats(0, 1)


def test_the_geometric_mean_worked_out_by_hand():
    scores = {"miou": 7 / 12, "fwiou": 5 / 8, "mean_accuracy": 5 / 6}
    assert geometric_mean(scores) == pytest.approx((175 / 576) ** (1 / 3))


def test_agreement_needs_no_label_and_is_worked_out_by_hand():
    scores = {"agreement_miou": 0.64, "agreement": 0.81}
    assert OBJECTIVES["agreement"].worth(scores) == pytest.approx(0.72)


@pytest.mark.parametrize("name", OBJECTIVES)
@given(values=st.tuples(*[SCORE] * len(NAMES)))
def test_a_worth_lies_between_0_and_1(name, values):
    scores = dict(zip(NAMES, values, strict=True))
    assert 0 <= OBJECTIVES[name].worth(scores) <= 1


@pytest.mark.parametrize("name", OBJECTIVES)
def test_what_is_perfect_is_worth_1_and_what_is_wholly_wrong_0(name):
    assert OBJECTIVES[name].worth(dict.fromkeys(NAMES, 1.0)) == 1
    assert OBJECTIVES[name].worth(dict.fromkeys(NAMES, 0.0)) == 0


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=list(OBJECTIVES))
def test_an_objective_says_what_it_is(objective):
    assert all(getattr(objective, field.name) for field in fields(objective))


@pytest.mark.parametrize(
    ("cost", "target", "factor"),
    [
        pytest.param(3.0, None, 1, id="no target"),
        pytest.param(0.4, 0.5, 1, id="less than the target earns no more"),
        pytest.param(0.5, 0.5, 1, id="at the target"),
        pytest.param(0.625, 0.5, 0.8, id="a quarter over it"),
        pytest.param(1.0, 0.5, 0.5, id="the per-frame network at half the cost"),
    ],
)
def test_who_costs_more_than_the_target_keeps_the_share_that_it_should_cost(cost, target, factor):
    assert factor_of_cost(cost, target) == pytest.approx(factor)


@given(cost=st.floats(1e-3, 1e3), dearer=st.floats(1, 1e3), target=st.floats(1e-3, 1))
def test_the_factor_lies_between_0_and_1_and_falls_with_the_cost(cost, dearer, target):
    assert 0 < factor_of_cost(cost * dearer, target) <= factor_of_cost(cost, target) <= 1


@pytest.mark.parametrize("target", [0, -0.5, 1.01, float("nan")])
def test_a_target_that_is_no_share_of_the_per_frame_network_is_refused(target):
    with pytest.raises(RunError, match=r"max-cost is a share of what the per-frame network costs .* \(0, 1\], but got"):
        CandidateConfig(max_cost=target)


@pytest.mark.parametrize(("cost", "words"), [("macs", "multiply-adds"), ("latency", "time")])
def test_what_a_reader_is_told_of_the_reward_says_what_costs_are(cost, words):
    config = CandidateConfig(cost=cost, max_cost=0.5)
    assert label(config) == f"geometric mean, times 0.5 / {words} beyond that"
    assert f"times min(1, 0.5 / cost) ^ 1, where costs are {words}" in explanation(config)
    assert explanation(CandidateConfig(cost=cost)) == OBJECTIVES["geometric_mean"].explanation
