"""PPO guided by a predictor: what it proposes, and what its policy learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nas.landscapes.catalog import make_landscape
from nas.landscapes.search import replay
from nas.runs.trial import Trial
from nas.settings.strategy_config import ControllerConfig, PPOConfig, PredictorConfig
from nas.strategies.guided_ppo import GuidedPPO, mutants
from nas.strategies.predictor import CostTarget, Predictor
from nas.training.candidates.objective import factor_of_cost
from searchspace.space import Space

SPACE = Space.load("paper", blocks=2)


def make(space=SPACE, seed=0, **predictor):
    return GuidedPPO(space, ControllerConfig(hidden=20), PPOConfig(), PredictorConfig(**predictor), seed)


def test_mutants_differ_from_a_parent_in_one_or_two_tokens_that_have_a_choice():
    sizes = np.array([3, 1, 4, 2])
    parents = np.array([[0, 0, 0, 0], [2, 0, 3, 1]])
    drawn = mutants(parents, sizes, 500, np.random.default_rng(0))
    assert ((drawn >= 0) & (drawn < sizes)).all()
    distances = (drawn[:, None] != parents).sum(2).min(1)
    assert set(distances) <= {0, 1, 2}  # 0 if a token is changed there and back
    assert (distances == 1).mean() == pytest.approx(0.6, abs=0.15)


def test_no_cell_is_proposed_twice():
    trials = replay(make(), make_landscape("made-up", SPACE, 0), 60, 8, 0)
    assert len({trial.genotype.key for trial in trials}) == 60


def test_a_space_that_is_used_up_ends_in_repeats():
    tiny = Space("tiny", 1, SPACE.inputs[:1], SPACE.operations[:1], SPACE.aggregations[:3])
    cells = [trial.genotype for trial in replay(make(tiny, start=4), make_landscape("made-up", tiny, 0), 20, 4, 0)]
    assert len({cell.key for cell in cells}) == 3


def test_in_a_space_that_is_used_up_the_most_promising_is_repeated(monkeypatch):
    strategy = make()
    asked = [strategy.ask() for _ in range(5)]
    again = np.array([SPACE.tokens(cell) for cell in reversed(asked)])
    monkeypatch.setattr(GuidedPPO, "_ranked", lambda self: again)
    assert strategy.ask() == asked[-1]


def test_the_policy_learns_from_rewards_and_from_predictions():
    landscape = make_landscape("made-up", SPACE, 3)
    strategy = make()

    def worth():
        tokens, _ = strategy.controller.sample(torch.Generator().manual_seed(1), 100)
        return np.mean([landscape.value(SPACE.genotype(tuple(row))) for row in tokens.tolist()])

    before = worth()
    replay(strategy, landscape, 100, 4, 0)
    assert strategy.predictor.knows
    assert worth() > before + landscape.spread / 2


def test_a_predictor_that_knows_nothing_is_not_asked(monkeypatch):
    strategy = make()
    for number in range(24):  # rewards are noise
        strategy.tell(Trial(number=number, genotype=strategy.ask(), status="finished", reward=0.5))
    assert not strategy.predictor.knows
    monkeypatch.setattr(strategy.predictor, "predict", lambda tokens: pytest.fail("it was asked"))
    strategy.ask()


def test_under_a_target_what_cells_cost_is_learnt_restored_and_paid_for_in_what_is_promised():
    target, rng = CostTarget("relative_macs", 0.5), np.random.default_rng(0)
    settings = (ControllerConfig(hidden=20), PPOConfig(), PredictorConfig(), 0)
    strategy, again = (GuidedPPO(SPACE, *settings, target=target) for _ in range(2))
    cells, rewards, costs = [], [], []
    for number in range(12):
        cells.append(strategy.ask())
        failed = number == 3
        costs.append(float(rng.uniform(0.3, 1)))
        rewards.append(float(rng.uniform(0.4, 0.6)) * factor_of_cost(costs[-1], 0.5))
        facts = {"status": "failed"} if failed else {"status": "finished", "reward": rewards[-1]}
        spent = {} if failed else {"relative_macs": costs[-1]}
        strategy.tell(Trial(number=number, genotype=cells[-1], cost=spent, **facts))
    tokens = np.array([SPACE.tokens(cell) for cell in cells])
    kept = [number for number in range(12) if number != 3]
    by_hand = Predictor(SPACE, target)
    by_hand.fit(tokens[kept], np.array(rewards)[kept], np.array(costs)[kept])
    again.load_state_dict(strategy.state_dict())
    for found in (strategy.predictor, again.predictor):
        assert np.array_equal(found.predict(tokens), by_hand.predict(tokens))
    assert again.ask() == strategy.ask()


def test_what_is_restored_predicts_as_before_also_within_a_round():
    strategy, landscape = make(), make_landscape("made-up", SPACE, 0)
    trials = [replace(trial) for trial in replay(strategy, landscape, 31, 4, 0)]
    again = make()
    again.load_state_dict(strategy.state_dict())
    tokens = np.array([SPACE.tokens(trial.genotype) for trial in trials])
    for ours, theirs in zip(strategy.predictor.predict(tokens), again.predictor.predict(tokens), strict=True):
        assert np.array_equal(ours, theirs)
    assert [again.ask() for _ in range(3)] == [strategy.ask() for _ in range(3)]
