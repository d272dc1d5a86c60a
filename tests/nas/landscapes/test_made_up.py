"""Made-up landscapes: mean, spread, and how far effects that are added up explain them."""

import re

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from nas.landscapes.catalog import make_landscape
from nas.settings.errors import RunError
from searchspace.encoding import Encoding
from searchspace.space import Space

SPACE = Space.load("paper", blocks=2)


def draw(count, seed=0):
    rng = np.random.default_rng(seed)
    return [SPACE.uniform(rng) for _ in range(count)]


@pytest.mark.parametrize("name", ["made-up", "rugged"])
def test_values_of_uniform_cells_have_the_mean_and_spread_that_it_says(name):
    landscape = make_landscape(name, SPACE, seed=3)
    values = [landscape.value(cell) for cell in draw(2000)]
    assert np.mean(values) == pytest.approx(landscape.mean, abs=4 * landscape.spread / 2000**0.5)
    assert np.std(values) == pytest.approx(landscape.spread, rel=0.1)


def test_a_seed_is_a_landscape():
    cells = draw(20)
    values = {seed: [make_landscape("rugged", SPACE, seed).value(cell) for cell in cells] for seed in (0, 1)}
    assert values[0] == [make_landscape("rugged", SPACE, 0).value(cell) for cell in cells]
    assert values[0] != values[1]


@pytest.mark.parametrize(("name", "explained"), [("made-up", (0.4, 0.75)), ("rugged", (0.15, 0.5))])
def test_effects_of_single_tokens_explain_their_share(name, explained):
    one_hot = sum(decision.choices for decision in SPACE.decisions)
    tokens = np.array([SPACE.tokens(cell) for cell in draw(800)])
    features = Encoding(SPACE).encode_tokens(tokens)[:, :one_hot]
    shares = []
    for seed in range(3):
        landscape = make_landscape(name, SPACE, seed)
        values = [landscape.value(cell) for cell in draw(800)]
        shares.append(LinearRegression().fit(features, values).score(features, values))
    assert explained[0] < np.mean(shares) < explained[1]


def test_an_unknown_landscape_is_refused_by_name():
    names = ", ".join(f"{problem}-{space}" for problem in ("camvid", "shapes") for space in ("fast", "paper", "video"))
    tables = f"the tables of problems in spaces {names}, and paths of tables, *.csv.gz"
    message = f"unknown landscape 'flat' of the space paper; known are made-up, rugged, {tables}"
    with pytest.raises(RunError, match=re.escape(message)):
        make_landscape("flat", SPACE, 0)
