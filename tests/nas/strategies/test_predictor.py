"""The predictor: its cross-validation against refitting without each cell, and what it believes of noise."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from threadpoolctl import threadpool_limits

from nas.strategies.predictor import CostTarget, Predictor
from searchspace.encoding import Encoding
from searchspace.space import Space

SPACE = Space.load("paper", blocks=2)
SIZES = [decision.choices for decision in SPACE.decisions]


def draw(count, seed=0):
    rng = np.random.default_rng(seed)
    tokens = rng.integers(SIZES, size=(count, len(SIZES)))
    return tokens, rng.normal(size=count)


def additive(tokens):
    effects = [np.random.default_rng([7, place]).normal(size=size) for place, size in enumerate(SIZES)]
    return sum(effect[column] for effect, column in zip(effects, tokens.T, strict=True))


@pytest.mark.parametrize("count", [8, 30, 90])
def test_what_it_saves_against_the_mean_is_that_of_refitting_without_each_cell(count):
    tokens, noise = draw(count)
    rewards = additive(tokens) + noise
    predictor = Predictor(SPACE)
    predictor.fit(tokens, rewards)
    features, model = predictor._view(tokens).astype(float), predictor._model
    missed, missed_by_mean = [], []
    for cell in range(count):
        others = np.arange(count) != cell
        refitted = Ridge(alpha=model.lambda_ / model.alpha_).fit(features[others], rewards[others])
        missed.append(rewards[cell] - refitted.predict(features[[cell]])[0])
        missed_by_mean.append(rewards[cell] - rewards[others].mean())
    by_hand = 1 - np.square(missed).sum() / np.square(missed_by_mean).sum()
    assert predictor.explained == pytest.approx(by_hand, rel=1e-3, abs=1e-3)


def test_it_knows_what_is_there_to_be_known_and_nothing_of_noise():
    tokens, _ = draw(120)
    predictor = Predictor(SPACE)
    predictor.fit(tokens, additive(tokens))
    assert predictor.knows
    unseen, _ = draw(200, seed=1)
    assert np.corrcoef(predictor.predict(unseen)[0], additive(unseen))[0, 1] > 0.8
    for seed in range(10):
        predictor.fit(tokens, draw(120, seed=seed + 2)[1])
        assert predictor.explained < 0.1


def test_it_sees_cells_as_what_their_result_flows_through_where_rewards_come_from_that():
    space = Space.load("paper", blocks=5)
    rng = np.random.default_rng(0)
    tokens = np.array([space.tokens(space.uniform(rng)) for _ in range(200)])
    flow = Encoding(space).encode_flow(tokens)
    rewards = (flow @ rng.normal(size=flow.shape[1])).astype(float)
    predictor = Predictor(space)
    predictor.fit(tokens[:100], rewards[:100])
    assert np.corrcoef(predictor.predict(tokens[100:])[0], rewards[100:])[0, 1] > 0.9


def test_equal_rewards_teach_it_nothing():
    predictor = Predictor(SPACE)
    predictor.fit(draw(20)[0], np.full(20, 0.6))
    assert not predictor.knows


def test_it_doubts_less_with_more_trials():
    unseen, doubts = draw(50, seed=1)[0], []
    for count in (20, 80, 320):
        tokens, noise = draw(count)
        predictor = Predictor(SPACE)
        predictor.fit(tokens, additive(tokens) + 0.3 * noise)
        doubts.append(predictor.predict(unseen)[1].mean())
    assert doubts[0] > doubts[1] > doubts[2] > 0


def test_the_number_of_threads_changes_no_digit():
    tokens, noise = draw(80)
    answers = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            predictor = Predictor(SPACE)
            predictor.fit(tokens, additive(tokens) + noise)
            answers.append(predictor.predict(tokens))
    assert np.array_equal(answers[0], answers[1])


def costs_of(tokens):
    """Costs around 0.6 whose logarithm adds up effects of tokens."""
    effects = [np.random.default_rng([8, place]).normal(size=size) for place, size in enumerate(SIZES)]
    return 0.6 * np.exp(0.1 * sum(effect[column] for effect, column in zip(effects, tokens.T, strict=True)))


def test_under_a_target_it_finds_the_kink_that_a_line_through_the_rewards_misses():
    target, (tokens, _), (unseen, _) = 0.4, draw(120), draw(500, seed=1)

    def rewards_of(cells):
        return (0.6 + 0.02 * additive(cells)) * np.minimum(1, target / costs_of(cells))

    aware, unaware = Predictor(SPACE, CostTarget("cost", target)), Predictor(SPACE)
    for predictor in (aware, unaware):
        predictor.fit(tokens, rewards_of(tokens), costs_of(tokens))
    missed, missed_by_line = (
        np.abs(predictor.predict(unseen)[0] - rewards_of(unseen)).mean() for predictor in (aware, unaware)
    )
    assert missed < missed_by_line / 2
    dearer = costs_of(unseen) > 1.3 * target
    assert (aware.predict(unseen)[1][dearer] > 0).all()


def test_costs_that_are_counted_are_not_learnt():
    target, (tokens, _), (unseen, _) = 0.6, draw(60), draw(200, seed=1)
    worths = 0.6 + 0.02 * additive(tokens)

    def cost_of(cell):  # which nothing that the predictor sees would tell it
        return 0.3 + int(cell.key, 16) % 1000 / 1000

    def factors(cells):
        return np.minimum(1, target / np.array([cost_of(SPACE.genotype(tuple(row))) for row in cells.tolist()]))

    aware, plain = Predictor(SPACE, CostTarget("cost", target)), Predictor(SPACE)
    aware.know_costs(cost_of)
    aware.fit(tokens, worths * factors(tokens), target / factors(tokens))
    plain.fit(tokens, worths)
    for ours, theirs in zip(aware.predict(unseen), plain.predict(unseen), strict=True):
        np.testing.assert_allclose(ours, theirs * factors(unseen))


def test_a_target_that_no_cell_reaches_changes_nothing():
    tokens, noise = draw(60)
    rewards = 0.6 + 0.02 * (additive(tokens) + noise)
    under, without = Predictor(SPACE, CostTarget("cost", 100.0)), Predictor(SPACE)
    under.fit(tokens, rewards, costs_of(tokens))
    without.fit(tokens, rewards)
    for ours, theirs in zip(under.predict(draw(50, 1)[0]), without.predict(draw(50, 1)[0]), strict=True):
        assert np.array_equal(ours, theirs)
