import math
from dataclasses import replace

import numpy as np
import pytest

from nas.reporting.comparison.figure import comparison
from nas.reporting.comparison.numbers import Search, band, by_strategy, pairwise, summarise
from nas.reporting.comparison.report import comparison_report, differences_table, reading, strategies_table
from nas.reporting.comparison.significance import bootstrap_interval, mann_whitney


def search(strategy, seed, best, mean=0.5):
    return Search(strategy, seed, best, mean, 0.4, 2, (best - 0.1, best), (mean, mean))


def searches(**best):
    return [search(name, seed, value) for name, values in best.items() for seed, value in enumerate(values)]


THREE = searches(ppo=[0.7, 0.8, 0.9], random=[0.4, 0.5, 0.6])
FOUR = searches(ppo=[0.7, 0.8, 0.9, 0.75], random=[0.4, 0.5, 0.6, 0.55])


def rows(table):
    return [[part.strip() for part in line.strip("|").split("|")] for line in table.splitlines()]


@pytest.mark.parametrize("seed", range(3))
def test_a_search_is_what_loops_over_its_trials_say(run_of, seed):
    trials = [trial for trial in run_of(50, seed=seed) if trial.number is not None]
    found = summarise("ppo", seed, list(reversed(trials)))
    so_far, best = [], []
    for place, trial in enumerate(trials):
        so_far += [] if trial.reward is None else [trial.reward]
        best.append(max(so_far, default=math.nan))
        assert found.moving_mean[place] == pytest.approx(np.mean(so_far[-20:]) if so_far else math.nan, nan_ok=True)
    assert found.best_so_far == pytest.approx(best, nan_ok=True)
    assert found.best == best[-1]
    assert found.mean == pytest.approx(sum(so_far) / len(so_far))
    late = [trial.reward for trial in trials[37:] if trial.reward is not None]  # 13 of 50
    assert found.late == pytest.approx(sum(late) / len(late))
    assert found.trained == len(trials) - sum(trial.repeat_of is not None for trial in trials)


def test_failures_leave_gaps_and_not_zeros(run_of):
    first, *_, last = [trial for trial in run_of(4) if trial.number is not None and trial.ok]
    lost = {"status": "failed", "reward": None, "error": "crash: gone"}
    trials = [replace(first, number=0, **lost), replace(first, number=1), replace(last, number=2, **lost)]
    found = summarise("ppo", 0, trials)
    assert math.isnan(found.best_so_far[0])
    assert found.best_so_far[1:] == (first.reward, first.reward)
    assert found.mean == first.reward
    assert math.isnan(found.late)
    with pytest.raises(ValueError, match="none of the 1 trials has a reward"):
        summarise("ppo", 0, trials[:1])


def test_a_band_is_mean_lowest_and_highest():
    assert band(THREE[:3], "best_so_far") == pytest.approx(np.array([[0.7, 0.8], [0.6, 0.7], [0.8, 0.9]]))


def test_each_pair_is_tested_over_seeds():
    groups = {"ppo": [0.7, 0.8, 0.9], "random": [0.75, 0.5, 0.8], "evolution": [0.1, 0.2, 0.3]}
    found = pairwise(searches(**groups), "best")
    assert [(each.first, each.second) for each in found] == [
        ("ppo", "random"),
        ("ppo", "evolution"),
        ("random", "evolution"),
    ]
    for each in found:
        one, two = groups[each.first], groups[each.second]
        assert each.difference == pytest.approx(np.mean(one) - np.mean(two))
        assert each.interval == bootstrap_interval(one, two)
        assert each.wins == pytest.approx(np.mean([(a > b) + (a == b) / 2 for a in one for b in two]))
        assert each.p == mann_whitney(one, two)
        assert each.smallest == pytest.approx(0.3)
    assert [each.adjusted for each in found] == pytest.approx([0.5, 0.3, 0.3])  # 5 of 20 ways, twice


def test_one_seed_has_no_interval():
    (found,) = pairwise(searches(ppo=[0.7], random=[0.4, 0.5]), "best")
    assert found.interval is None
    assert rows(differences_table([found]))[2][3] == "–"  # noqa: RUF001


def test_too_few_seeds_are_said_to_show_nothing():
    (found,) = pairwise(THREE, "best")
    assert found.p == pytest.approx(0.1)
    assert reading(found) == (
        "ppo and random: with 3 and 3 seeds the smallest possible p is 0.1: this cannot show a difference at 0.05, "
        "however large it is; 4 seeds each could"
    )
    three_pairs = pairwise(searches(a=[0.1] * 3, b=[0.2] * 3, c=[0.3] * 3), "best")
    assert "is 0.3 after Holm's correction for 3 pairs" in reading(three_pairs[0])
    assert reading(three_pairs[0]).endswith("5 seeds each could")


def test_enough_seeds_show_a_difference_or_none():
    (best,), (mean,) = pairwise(FOUR, "best"), pairwise(FOUR, "mean")
    assert reading(best).startswith("ppo and random, best reward: ppo is above random (p = 0.0286)")
    assert reading(mean) == (
        "ppo and random, mean reward: no difference shown (p = 1), which is no proof that there is none"
    )
    (turned,) = pairwise(list(reversed(FOUR)), "best")
    assert "ppo is above random" in reading(turned)


def test_the_table_shows_mean_and_spread_over_seeds():
    _, _, ppo, random = rows(strategies_table([*THREE[:3], replace(THREE[3], late=math.nan)]))
    assert ppo == ["ppo", "3", "2", "0.8000 ± 0.1000", "0.5000 ± 0.0000", "0.4000 ± 0.0000"]
    assert random == ["random", "1", "2", "0.4000", "0.5000", "–"]  # noqa: RUF001


def test_the_report_says_each_thing_once():
    runs = [("run", "seed"), ("runs/a", 0)]
    text = comparison_report(["budget: 2 trials"], THREE, runs)
    assert "- budget: 2 trials" in text
    assert text.count("cannot show a difference") == 1
    assert "| runs/a |" in text
    assert "one strategy only, so nothing is tested" in comparison_report([], THREE[:3], runs)


def test_the_picture_has_a_line_and_a_band_for_each_strategy():
    figure = comparison(THREE)
    for axes, curve in zip(figure.axes, ("best_so_far", "moving_mean"), strict=True):
        lines = {line.get_label(): line.get_ydata() for line in axes.lines}
        assert list(lines) == ["ppo (3 seeds)", "random (3 seeds)"]
        for drawn, group in zip(lines.values(), by_strategy(THREE).values(), strict=True):
            assert tuple(drawn) == pytest.approx(tuple(band(group, curve)[0]))
        assert len({line.get_linestyle() for line in axes.lines}) == len(axes.collections) == 2
