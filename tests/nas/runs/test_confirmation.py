"""What is confirmed, in which order it ranks, and how sure that is, against closed forms."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from nas.runs.confirmation import Confirmation, chances, confirmations, final_ranking, missing
from nas.runs.trial import Trial
from nas.settings.config import SearchConfig
from nas.settings.seeding import stream
from searchspace.space import Space

SPACE = Space.load("paper", blocks=2)
CELLS = [SPACE.uniform(np.random.default_rng(seed)) for seed in range(4)]
SEARCHED = [
    Trial(number=number, genotype=cell, status="finished", reward=reward)
    for number, (cell, reward) in enumerate(zip(CELLS, (0.5, 0.8, 0.6, 0.7), strict=True))
]
STATIC, PER_FRAME = (Trial(fixed_point=name, status="finished", reward=0.55) for name in ("static", "per_frame"))
LOG = [STATIC, PER_FRAME, *SEARCHED]
CONFIG = SearchConfig(confirm=2, confirm_seeds=3, fixed_points=("static", "per_frame"))


def again(trial, *rewards):
    return [
        Trial(confirms=trial.name, genotype=trial.genotype, status="finished", reward=reward, seed=seed)
        for seed, reward in enumerate(rewards)
    ]


def compared(*rewards, name="a"):
    searched = Trial(fixed_point=name, status="finished", reward=0.5)
    return Confirmation(searched=searched, trials=() if name == "static" else tuple(again(searched, *rewards)))


def test_the_best_cells_and_the_trained_fixed_points_get_their_first_training_before_any_second():
    planned = missing(LOG, CONFIG)
    assert [trial.name for trial, _ in planned] == 3 * ["#1", "#3", "per_frame"]
    seeds = [stream(0, "confirm", key, k) for k in range(3) for key in (CELLS[1].key, CELLS[3].key, "per_frame")]
    assert [seed for _, seed in planned] == seeds


def test_only_what_the_log_lacks_is_planned_and_a_failure_is_not_tried_again():
    planned = missing(LOG, CONFIG)
    done = [Trial(confirms=trial.name, status="failed", seed=seed, error="crash: gone") for trial, seed in planned[::2]]
    assert missing([*LOG, *done], CONFIG) == planned[1::2]
    better = Trial(number=4, genotype=SPACE.uniform(np.random.default_rng(9)), status="finished", reward=0.9)
    names = {trial.name for trial, _ in missing([*LOG, *done, better], CONFIG)}
    assert names == {"#4", "#1", "per_frame"}


def test_none_is_planned_if_none_is_asked_for():
    assert missing(LOG, replace(CONFIG, confirm=0)) == []


def test_confirmed_cells_rank_by_their_mean_before_all_others():
    log = [*LOG, *again(SEARCHED[1], 0.5, 0.6, 0.7), *again(SEARCHED[3], 0.6, 0.7, 0.8), *again(PER_FRAME, 0.65)]
    found = confirmations(log)
    assert [each.searched.name for each in found] == ["#3", "per_frame", "#1", "static"]
    assert [each.mean for each in found] == pytest.approx([0.7, 0.65, 0.6, 0.55])
    assert [each.deviation for each in found] == [pytest.approx(0.1), None, pytest.approx(0.1), None]
    assert [trial.name for trial in final_ranking(log)] == ["#3", "#1", "#2", "#0"]
    assert [trial.name for trial in final_ranking(LOG)] == ["#1", "#3", "#2", "#0"]


def test_failed_confirmations_count_and_rank_as_if_there_were_none():
    lost = Trial(confirms="#1", genotype=CELLS[1], status="failed", error="crash: gone")
    log = [*LOG, lost, *again(SEARCHED[2], 0.6)]
    assert [(each.searched.name, each.mean, each.failed) for each in confirmations(log)] == [
        ("#2", 0.6, 0),
        ("static", 0.55, 0),
        ("#1", None, 1),
    ]
    assert [trial.name for trial in final_ranking(log)] == ["#2", "#1", "#3", "#0"]


def test_the_better_of_two_is_best_with_the_probability_of_student_t():
    first, second = (0.62, 0.60, 0.64), (0.61, 0.57)
    pooled = math.sqrt((2 * np.var(first, ddof=1) + np.var(second, ddof=1)) / 3)
    t = (np.mean(first) - np.mean(second)) / (pooled * math.sqrt(1 / 3 + 1 / 2))
    shares = chances([compared(*first), compared(*second)])
    assert shares == pytest.approx([stats.t.cdf(t, df=3), stats.t.sf(t, df=3)], abs=0.005)  # 3 sigma of 100,000 draws


def test_the_static_network_is_compared_without_noise():
    rewards = (0.48, 0.53, 0.55)
    t = (np.mean(rewards) - 0.5) / (np.std(rewards, ddof=1) / math.sqrt(3))
    shares = chances([compared(*rewards), compared(name="static")])
    assert shares == pytest.approx([stats.t.cdf(t, df=2), stats.t.sf(t, df=2)], abs=0.005)


def test_equal_networks_are_best_with_equal_probability_and_failed_ones_with_none():
    shares = chances([*[compared(0.5, 0.6)] * 4, compared()])
    assert shares == pytest.approx([0.25, 0.25, 0.25, 0.25, 0], abs=0.005)


def test_no_probability_is_claimed_without_a_spread():
    assert chances([compared(0.5), compared(0.6)]) == [None, None]
    assert chances([compared(0.1, 0.1, 0.1), compared(0.1, 0.1, 0.1)]) == [None, None]


def test_the_static_network_is_no_rival_where_rewards_are_agreement_with_it():
    perfect = replace(STATIC, reward=1.0)
    log = [perfect, PER_FRAME, *SEARCHED, *again(SEARCHED[1], 0.5, 0.6, 0.7), *again(SEARCHED[3], 0.6, 0.7, 0.8)]
    found = confirmations(log, "agreement")
    assert [(each.searched.name, each.competes) for each in found] == [("static", False), ("#3", True), ("#1", True)]
    static, *others = chances(found)
    assert static is None
    assert sum(others) == pytest.approx(1)
    assert others == pytest.approx(chances(found[1:]), abs=0.005)  # of other draws
    assert all(each.competes for each in confirmations(log, "geometric_mean"))
