"""Surrogates of tables whose cells' true values are known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kendalltau
from sklearn.linear_model import LinearRegression

from nas.landscapes.catalog import make_landscape
from nas.landscapes.search import reward_of
from nas.landscapes.surrogate import Surrogate, below, noise_of
from nas.landscapes.table import Row, Table, write_table
from nas.settings.errors import RunError
from searchspace.space import Space

SPACE = Space.load("paper", blocks=1)
TRUTH = make_landscape("made-up", SPACE, seed=0)


def made_table(cells, repetitions=3, repeated=40):
    """A table of uniform cells, the first ones trained several times."""
    rng, rows = np.random.default_rng(0), []
    common = {"strategy": "random", "search": 0, "halfway_reward": None, "seconds": 1.0, "epochs": 4}
    for number in range(cells):
        cell = SPACE.uniform(rng)
        for seed in range(repetitions if number < repeated else 1):
            reward = reward_of(TRUTH, cell, seed)
            rows.append(
                Row(key=cell.key, tokens=SPACE.tokens(cell), seed=seed, reward=reward, metrics={}, cost={}, **common)
            )
    return Table(SPACE, tuple(rows), {})


def rewards_by_cell(table):
    found = {}
    for row in table.rows:
        found.setdefault(row.key, []).append(row.reward)
    return found


@pytest.fixture(scope="module")
def surrogate():
    return Surrogate(made_table(500))


def test_noise_is_the_pooled_deviation_of_repeated_trainings():
    assert noise_of([[1.0, 3.0], [5.0], [2.0, 2.0, 5.0]]) == pytest.approx(((2 + 6) / (1 + 2)) ** 0.5)
    with pytest.raises(RunError, match="no cell of the table was trained twice"):
        noise_of([[1.0], [2.0]])


def test_it_knows_noise_mean_spread_and_unseen_cells(surrogate):
    rng = np.random.default_rng(9)
    cells = [SPACE.uniform(rng) for _ in range(400)]
    truth, predicted = ([each.value(cell) for cell in cells] for each in (TRUTH, surrogate))
    assert surrogate.noise == pytest.approx(TRUTH.noise, rel=0.25)
    assert surrogate.mean == pytest.approx(TRUTH.mean, abs=0.01)
    assert surrogate.spread == pytest.approx(TRUTH.spread, rel=0.25)
    tau = kendalltau(truth, predicted).statistic
    assert tau > 0.6
    assert surrogate.best.tau == pytest.approx(tau, abs=0.12)  # what cross-validation said, with noise in it
    assert surrogate.best == max(surrogate.qualities, key=lambda each: each.tau)


def test_no_cell_is_worth_more_than_the_best_of_the_table_and_its_noise(surrogate):
    best = max(np.mean(rewards) for rewards in rewards_by_cell(made_table(500)).values())
    cells = [SPACE.uniform(np.random.default_rng(seed)) for seed in range(300)]
    assert max(map(surrogate.value, cells)) < surrogate.ceiling == pytest.approx(best + 2 * surrogate.noise)


def test_a_linear_cause_below_a_ceiling_is_found_exactly():
    x = np.linspace(-2, 3, 50)[:, None]
    y = 0.8 / (1 + np.exp(-2 * x[:, 0] - 0.5))  # log odds against 0.8 are 2 x + 0.5
    predicted = below(0.8, LinearRegression()).fit(x, y).predict([[0.123], [9.0]])
    assert predicted == pytest.approx([0.8 / (1 + np.exp(-0.746)), 0.8 / (1 + np.exp(-18.5))], rel=1e-9)


def test_rewards_without_a_cause_are_not_predicted():
    rng = np.random.default_rng(0)
    rows = [replace(row, reward=rng.uniform()) for row in made_table(200, repeated=10).rows]
    assert all(abs(each.tau) < 0.2 for each in Surrogate(Table(SPACE, tuple(rows), {})).qualities)


def test_a_table_of_few_cells_is_refused():
    with pytest.raises(RunError, match="20 different cells or more, but this has 5"):
        Surrogate(made_table(5))


def test_a_table_with_few_cells_of_random_search_is_refused():
    table = made_table(60)
    rows = [row if place < 9 else replace(row, strategy="ppo") for place, row in enumerate(table.rows)]
    for some, count in ((rows, 3), (rows[9:], 0)):
        with pytest.raises(RunError, match=f"20 cells or more of random search, .* but this has {count}; add runs"):
            Surrogate(Table(SPACE, tuple(some), {}))


def test_a_table_is_a_landscape_of_its_own_space_only(tmp_path):
    write_table(tmp_path / "cells.csv.gz", made_table(60))
    path = str(tmp_path / "cells.csv.gz")
    assert "noise" in make_landscape(path, SPACE, 0).describe()
    with pytest.raises(RunError, match=r"is of another space \(paper, 1 blocks\)"):
        make_landscape(path, Space.load("video"), 0)
