from dataclasses import replace

import pytest

from nas.reporting.search.curves import EARLIER, expected_shares, reward_curve, sampled_shares
from nas.runs.ranking import along_front, pareto_front, ranking
from nas.runs.trial import Trial
from searchspace.choices import Choice
from searchspace.genotype import Block, Genotype
from searchspace.space import Space

SKIP, POOL, CONCAT, GATE = map(Choice, ("skip", "global_pool", "concat", "attention_gate"))
SPACE = Space("small", 2, ("past.dec", "cur.layer2"), (SKIP, POOL), (CONCAT, GATE))
SKIPS = Block(("past.dec", "past.dec"), (SKIP, SKIP), CONCAT)
MIXED = Block(("past.dec", "cur.layer2"), (SKIP, POOL), GATE)
BACK = Block(("block0", "cur.layer2"), (POOL, POOL), GATE)


def trial(number, *blocks, reward=0.5, parameters=None, repeat_of=None):
    status = "failed" if reward is None else "finished"
    error = "crash: gone" if reward is None else None
    cost = {} if parameters is None else {"parameters": parameters}
    genotype = Genotype(blocks or (SKIPS, SKIPS))
    return Trial(
        number=number, genotype=genotype, status=status, reward=reward, error=error, cost=cost, repeat_of=repeat_of
    )


PER_FRAME = Trial(fixed_point="per_frame", status="finished", reward=0.99, cost={"parameters": 1.0})


def test_shares_count_slots_of_failed_and_repeated_trials_but_not_of_fixed_points():
    trials = [
        PER_FRAME,
        trial(2, SKIPS, BACK, repeat_of=1),
        trial(0, SKIPS, MIXED, reward=None),
        trial(1, SKIPS, BACK),
    ]
    operations = sampled_shares(trials, "operation", SPACE)
    assert operations.windows == ((0, 2),)
    # 12 slots: 6 skips in the first blocks, skip and pool in trial 0's second, 2 + 2 pools in the others'
    assert operations.overall == {"skip": 7 / 12, "global_pool": 5 / 12}
    assert operations.shares == {"skip": (7 / 12,), "global_pool": (5 / 12,)}
    assert sampled_shares(trials, "aggregation", SPACE).overall == {"concat": 3 / 6, "attention_gate": 3 / 6}
    inputs = sampled_shares(trials, "input", SPACE).overall
    assert inputs == {"past.dec": 7 / 12, "cur.layer2": 3 / 12, EARLIER: 2 / 12}


def test_windows_follow_the_numbers_and_hold_all_trials():
    trials = [trial(n, *((SKIPS, SKIPS) if n < 6 else (BACK_FREE, BACK_FREE))) for n in reversed(range(12))]
    shares = sampled_shares(trials, "operation", SPACE)
    assert shares.windows == ((0, 5), (6, 11))
    assert shares.shares == {"skip": (1.0, 0.0), "global_pool": (0.0, 1.0)}
    assert shares.overall == {"skip": 0.5, "global_pool": 0.5}
    uneven = sampled_shares([trial(n) for n in range(15)], "operation", SPACE).windows
    assert uneven == ((0, 7), (8, 14))
    assert len(sampled_shares([trial(n) for n in range(4000)], "operation", SPACE).windows) == 40


BACK_FREE = Block(("past.dec", "cur.layer2"), (POOL, POOL), GATE)


def test_a_choice_that_was_never_sampled_has_a_share_of_zero():
    assert sampled_shares([trial(0)], "aggregation", SPACE).shares["attention_gate"] == (0.0,)


def test_shares_of_nothing_are_refused():
    with pytest.raises(ValueError, match="at least one sampled trial"):
        sampled_shares([PER_FRAME], "input", SPACE)


def test_expected_shares_are_those_of_uniform_decisions():
    assert expected_shares("operation", SPACE) == {"skip": 0.5, "global_pool": 0.5}
    inputs = expected_shares("input", SPACE)  # block 0 chooses among 2, block 1 among 3
    assert inputs == pytest.approx({"past.dec": 5 / 12, "cur.layer2": 5 / 12, EARLIER: 1 / 6})
    assert sum(expected_shares("input", Space.load("paper")).values()) == pytest.approx(1)
    one = Space("one block", 1, SPACE.inputs, SPACE.operations, SPACE.aggregations)
    assert expected_shares("input", one) == {"past.dec": 0.5, "cur.layer2": 0.5}


def test_the_curve_skips_failures_and_keeps_the_best():
    curve = reward_curve([trial(1, reward=None), trial(3, reward=0.4), trial(0, reward=0.2), trial(2, reward=0.6)])
    assert curve.numbers == (0, 2, 3)
    assert curve.rewards == (0.2, 0.6, 0.4)
    assert curve.best == (0.2, 0.6, 0.6)
    assert curve.mean == pytest.approx((0.2, 0.4, 0.4))
    assert curve.failed == (1,)


def test_the_moving_mean_goes_over_the_latest_twenty():
    curve = reward_curve([trial(n, reward=n / 100) for n in range(30)])
    assert curve.mean[0] == 0.0
    assert curve.mean[9] == pytest.approx(0.045)  # 0 to 9
    assert curve.mean[29] == pytest.approx(0.195)  # 10 to 29


def test_a_curve_of_failures_is_empty():
    curve = reward_curve([trial(0, reward=None), PER_FRAME])
    assert (curve.trials, curve.rewards, curve.best, curve.mean, curve.failed) == ((), (), (), (), (0,))


def test_the_ranking_holds_each_cell_once_with_its_best_trial():
    swapped = Block(("cur.layer2", "past.dec"), (POOL, SKIP), CONCAT)  # the same cell as the next, pairs swapped
    straight = Block(("past.dec", "cur.layer2"), (SKIP, POOL), CONCAT)
    trials = [
        PER_FRAME,
        trial(0, SKIPS, SKIPS, reward=0.3),
        trial(1, SKIPS, swapped, reward=0.5),
        trial(2, SKIPS, straight, reward=0.6),
        trial(3, SKIPS, MIXED, reward=0.6),
        trial(4, SKIPS, BACK, reward=None),
    ]
    assert [t.number for t in ranking(trials)] == [2, 3, 0]
    assert ranking([]) == []


def test_the_front_holds_the_cells_and_fixed_points_that_nobody_beats_at_their_cost():
    cells = [(first, second) for first in (SKIPS, MIXED, BACK_FREE) for second in (SKIPS, MIXED, BACK_FREE, BACK)]
    points = [(10, 0.2), (20, 0.5), (20, 0.4), (30, 0.5), (40, 0.3), (50, 0.7), (10, 0.2), (60, None)]
    trials = [
        trial(n, *cells[n], reward=reward, parameters=float(parameters))
        for n, (parameters, reward) in enumerate(points)
    ]
    trials += [PER_FRAME, trial(90, *cells[9], reward=0.9)]  # cheaper than all but no cell; of unknown cost
    assert [t.number for t in pareto_front(trials[:-2], "parameters")] == [0, 1, 5]
    assert [t.name for t in pareto_front(trials, "parameters")] == ["per_frame"]
    assert pareto_front(trials, "macs") == pareto_front(trials, "latency") == []


def test_the_front_is_of_what_scores_are_worth_and_not_of_rewards_that_costs_lowered():
    cheap = replace(trial(0, SKIPS, SKIPS, reward=0.5, parameters=10.0), metrics={"worth": 0.5})
    dear = replace(trial(1, SKIPS, MIXED, reward=0.3, parameters=20.0), metrics={"worth": 0.6})
    assert pareto_front([cheap, dear], "parameters") == [cheap, dear]


COSTS = (0.2, 0.25, 0.3, 0.45, 0.7, 1.0)  # of cells that are the better the more they cost


@pytest.mark.parametrize(
    ("count", "chosen"),
    [(0, ()), (1, (1.0,)), (2, (0.2, 1.0)), (3, (0.2, 0.7, 1.0)), (5, (0.2, 0.3, 0.45, 0.7, 1.0)), (9, COSTS)],
)
def test_cells_along_the_front_are_spread_over_its_costs(count, chosen):
    seconds = (SKIPS, MIXED, BACK_FREE, BACK)
    cells = [*((SKIPS, second) for second in seconds), *((MIXED, second) for second in seconds[1:])]
    trials = [
        replace(trial(n, *cells[n], reward=cost / 2), cost={"relative_macs": cost}) for n, cost in enumerate(COSTS)
    ]
    beaten = replace(trial(8, *cells[6], reward=0.1), cost={"relative_macs": 0.5})
    found = along_front([*trials, beaten], count)
    assert tuple(t.cost["relative_macs"] for t in found) == chosen
    assert along_front([replace(each, cost={}) for each in trials], count) == []
