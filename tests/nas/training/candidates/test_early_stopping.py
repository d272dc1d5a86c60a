import random

import pytest

from nas.training.candidates.early_stopping import WARM_UP, EarlyStopping, Halfway


def after(rewards):
    stopping = EarlyStopping()
    for reward in rewards:
        stopping.observe(reward)
    return stopping


def test_a_reward_above_the_mean_always_goes_on():
    assert all(Halfway(0.5, 0.9, draw).keeps_going(0.5) for draw in (0.0, 0.5, 0.999))


@pytest.mark.parametrize(
    ("slack", "ratio", "probability"),
    [(0.9, 0.9, 0.89), (0.9, 0.7, 0.67), (0.9, 0.5, 0.44), (0.272, 0.9, 0.63), (0.272, 0.7, 0), (0.272, 0.5, 0)],
)
def test_the_probability_of_going_on_is_the_ancestors(slack, ratio, probability):
    draws = [(i + 0.5) / 2000 for i in range(2000)]
    share = sum(Halfway(0.4, slack, draw).keeps_going(0.4 * ratio) for draw in draws) / len(draws)
    assert share == pytest.approx(probability, abs=0.006)  # the six numbers are rounded to two digits


def test_nothing_is_stopped_before_enough_has_been_seen():
    assert all(after([0.5] * (WARM_UP - 1)).halfway(seed).keeps_going(0.0) for seed in range(100))
    assert not all(after([0.5] * WARM_UP).halfway(seed).keeps_going(0.0) for seed in range(100))


def test_the_mean_is_the_exponentially_weighted_mean_of_what_was_observed():
    rewards = [random.Random(0).random() for _ in range(50)]
    weights = [0.99**age for age in reversed(range(50))]
    expected = sum(w * r for w, r in zip(weights, rewards, strict=True)) / sum(weights)
    assert after(rewards).halfway(0).mean == pytest.approx(expected)
    assert after([0.3] * 9).halfway(0).mean == pytest.approx(0.3)  # the ancestor's is 0.036 here


@pytest.mark.parametrize(
    ("seen", "slack"), [(0, 0.9), (99, 0.9), (100, 0.81), (200, 0.648), (300, 0.4536), (400, 0.27216), (5000, 0.27216)]
)
@pytest.mark.parametrize("rising", [True, False])
def test_the_slack_shrinks_at_its_counts_whatever_the_rewards(seen, slack, rising):
    # The ancestor counts a reward above the mean twice, and so jumps over counts that it compares for equality.
    rewards = sorted((i / (seen + 1) for i in range(seen)), reverse=not rising)
    assert after(rewards).halfway(0).slack == pytest.approx(slack)


def test_a_trial_without_a_halfway_reward_changes_nothing():
    rewards = [0.1 * (i % 7) for i in range(20)]
    assert after([*rewards, None]).halfway(5) == after([None, *rewards]).halfway(5) == after(rewards).halfway(5)


def test_the_draw_is_uniform_and_belongs_to_the_seed():
    stopping = after([0.5] * 20)
    draws = sorted(stopping.halfway(seed).draw for seed in range(1000))
    assert stopping.halfway(3) == stopping.halfway(3)
    assert max(abs(draw - i / 1000) for i, draw in enumerate(draws)) < 0.06  # Kolmogorov-Smirnov, p < 0.002 beyond
