from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nas.reporting.comparison.significance import bootstrap_interval, holm, mann_whitney, smallest_p

few = st.lists(st.integers(0, 6).map(lambda value: value / 4), min_size=1, max_size=5)  # with ties
distinct = st.lists(st.floats(-1, 1), min_size=2, max_size=14, unique=True)


@given(distinct, st.data())
def test_p_is_scipys_exact_one(values, data):
    size = data.draw(st.integers(1, len(values) - 1))
    reference = stats.mannwhitneyu(values[:size], values[size:], method="exact").pvalue
    assert mann_whitney(values[:size], values[size:]) == pytest.approx(reference, rel=1e-12)


@settings(max_examples=50, deadline=None)
@given(few, few)
def test_with_ties_p_counts_every_way_to_deal_the_values(first, second):
    pooled = [*first, *second]
    ranks = stats.rankdata(pooled)
    dealt = np.array([sum(ranks[list(chosen)]) for chosen in combinations(range(len(pooled)), len(first))])
    observed = ranks[: len(first)].sum()
    reference = min(1.0, 2 * min(np.mean(dealt <= observed), np.mean(dealt >= observed)))
    assert mann_whitney(first, second) == pytest.approx(reference)
    assert mann_whitney(second, first) == pytest.approx(reference)


def test_with_ties_p_is_scipys_permutation_test():
    first, second = [0.5, 0.5, 0.75, 0.9], [0.25, 0.5, 0.4]
    every_way = stats.PermutationMethod(n_resamples=np.inf)
    assert mann_whitney(first, second) == pytest.approx(stats.mannwhitneyu(first, second, method=every_way).pvalue)


@pytest.mark.parametrize("sizes", [(1, 1), (3, 3), (2, 5), (4, 4), (10, 10)])
def test_the_smallest_p_is_that_of_samples_that_do_not_overlap(sizes):
    low, high = np.arange(sizes[0]), 100.0 + np.arange(sizes[1])
    assert mann_whitney(low, high) == pytest.approx(smallest_p(*sizes))
    assert smallest_p(3, 3) == 0.1


def test_equal_samples_do_not_differ():
    assert mann_whitney([0.5, 0.5], [0.5, 0.5, 0.5]) == 1


def test_holms_values_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]


def test_the_interval_is_scipys():
    rng = np.random.default_rng(1)
    first, second = rng.normal(0.6, 0.1, 12), rng.normal(0.5, 0.2, 9)
    low, high = bootstrap_interval(first, second)
    reference = stats.bootstrap(
        (first, second), lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis), method="percentile", rng=2
    ).confidence_interval
    assert (low, high) == pytest.approx(tuple(reference), abs=0.01)
    assert (low, high) == bootstrap_interval(first, second)


def test_a_single_value_has_no_interval():
    with pytest.raises(ValueError, match="two values a sample, but got 1 and 3"):
        bootstrap_interval([0.5], [0.1, 0.2, 0.3])
