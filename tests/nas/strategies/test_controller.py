import math
from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import nn

from baselines.fixed_points import FIXED_POINTS
from nas.settings.strategy_config import ControllerConfig
from nas.strategies.controller import Controller
from searchspace.choices import Choice
from searchspace.space import Space

PAPER = Space.load("paper")
SMALL = Space(  # 2 blocks: (2*2 * 2*2 * 1) * (3*3 * 2*2 * 1) = 576 token strings
    name="small",
    blocks=2,
    inputs=("past.dec", "cur.layer2"),
    operations=(Choice("skip"), Choice("global_pool")),
    aggregations=(Choice("concat"),),
)
SHARP = ControllerConfig(hidden=10, init_range=1.0)  # far from uniform, and quick


def every_string_of(space):
    return torch.tensor(list(product(*(range(decision.choices) for decision in space.decisions))))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_it_has_the_parameters_of_two_lstm_layers_of_100_units_drawn_uniformly():
    controller = Controller(PAPER.decisions, ControllerConfig(), seed=0)
    values = torch.cat([parameter.flatten() for parameter in controller.parameters()])
    choices = 9 + 6 + 6  # inputs of block 4, operations, aggregations
    lstm = 2 * (4 * 100 * (100 + 100) + 2 * 4 * 100)
    assert len(values) == 100 + choices * 100 + lstm + choices * (100 + 1)
    assert values.abs().max() <= 0.1
    assert values.std().item() == pytest.approx(0.1 / math.sqrt(3), rel=0.01)


@pytest.mark.parametrize("name", ["tmanet", "lmanet", "tdnet"])
def test_fixed_points_can_be_reached_in_the_fast_space(name):
    blocks = len(FIXED_POINTS[name].blocks)
    space = Space.load("fast", blocks=blocks)
    tokens = torch.tensor([space.tokens(FIXED_POINTS[name])])
    assert Controller(space.decisions, SHARP, seed=0).log_prob(tokens).isfinite().all()


@pytest.mark.parametrize("factorised", [False, True])
def test_probabilities_of_all_strings_of_a_small_space_sum_to_one(factorised):
    controller = Controller(SMALL.decisions, replace(SHARP, factorised=factorised), seed=1)
    strings = every_string_of(SMALL)
    assert len(strings) == SMALL.size == 576
    assert controller.log_prob(strings).exp().sum().item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("factorised", [False, True])
def test_samples_are_as_frequent_as_their_probabilities_say(factorised):
    controller = Controller(SMALL.decisions, replace(SHARP, factorised=factorised), seed=1)
    strings, count = every_string_of(SMALL), 40_000
    tokens, _ = controller.sample(generator(), count)
    places = {tuple(string): place for place, string in enumerate(strings.tolist())}
    drawn = torch.bincount(torch.tensor([places[tuple(row)] for row in tokens.tolist()]), minlength=len(strings))
    expected = count * controller.log_prob(strings).exp()
    common = expected > 20
    chi_square = ((drawn - expected)[common] ** 2 / expected[common]).sum().item()
    assert common.sum() > 50
    assert chi_square < common.sum() + 4 * math.sqrt(2 * common.sum())  # mean n, variance 2 n


@pytest.mark.parametrize("factorised", [False, True])
@pytest.mark.parametrize("init_range", [0.1, 0.3])
def test_sampled_and_replayed_log_probabilities_agree(factorised, init_range):
    config = ControllerConfig(factorised=factorised, init_range=init_range)
    controller = Controller(PAPER.decisions, config, seed=2)
    assert next(controller.parameters()).dtype == torch.float32
    draws = [controller.sample(generator(seed), count) for seed, count in enumerate((1, 1, 10))]
    tokens = torch.cat([tokens for tokens, _ in draws])
    sampled = torch.cat([log_prob for _, log_prob in draws])
    assert tokens.shape == (12, 25)
    torch.testing.assert_close(controller.log_prob(tokens), sampled, rtol=0, atol=1e-6)
    alone = torch.cat([controller.log_prob(row[None]) for row in tokens])
    torch.testing.assert_close(alone, sampled, rtol=0, atol=1e-6)


def test_replay_is_an_lstm_that_is_fed_the_start_and_then_each_token():
    controller = Controller(PAPER.decisions, SHARP, seed=3).double()
    cells = [nn.LSTMCell(10, 10, dtype=torch.float64) for _ in range(2)]
    for layer, cell in enumerate(cells):
        cell.load_state_dict({name: getattr(controller.lstm, f"{name}_l{layer}") for name in cell.state_dict()})
    tokens = controller.sample(generator())[0][0].tolist()
    starts = {"input": 0, "operation": 9, "aggregation": 15}
    value, states, expected = controller.start, [None, None], 0.0
    for token, decision in zip(tokens, PAPER.decisions, strict=True):
        for layer, cell in enumerate(cells):
            states[layer] = cell(value, states[layer])
            value = states[layer][0]
        rows = slice(starts[decision.kind], starts[decision.kind] + decision.choices)
        logits = controller.head.weight[rows] @ value + controller.head.bias[rows]
        expected += (logits[token] - logits.logsumexp(0)).item()
        value = controller.embedding.weight[starts[decision.kind] + token]
    assert controller.log_prob(torch.tensor([tokens])).item() == pytest.approx(expected, abs=1e-9)


def test_a_choice_that_a_decision_does_not_have_has_probability_zero():
    controller = Controller(PAPER.decisions, SHARP, seed=4)
    tokens, _ = controller.sample(generator(), 200)
    limits = torch.tensor([decision.choices for decision in PAPER.decisions])
    assert bool(((tokens >= 0) & (tokens < limits)).all())
    probabilities = controller(tokens).exp()
    assert torch.equal((probabilities > 0).sum(-1), limits.expand(200, -1))  # the others are exactly 0
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(200, 25, dtype=torch.float64))


def test_later_decisions_depend_on_earlier_tokens_unless_factorised():
    tokens = torch.zeros(2, 25, dtype=torch.int64)
    tokens[1, 3] = 1
    fed_back = Controller(PAPER.decisions, ControllerConfig(), seed=5)(tokens)
    assert torch.equal(fed_back[0, :4], fed_back[1, :4])
    assert not torch.equal(fed_back[0, 4], fed_back[1, 4])
    alone = Controller(PAPER.decisions, ControllerConfig(factorised=True), seed=5)(tokens)
    assert torch.equal(alone[0], alone[1])


@pytest.mark.parametrize(("blocks", "nats"), [(4, 36.35), (5, 46.12)])
def test_a_policy_without_preferences_has_the_entropy_of_the_paper_space(blocks, nats):
    space = Space.load("paper", blocks)
    controller = Controller(space.decisions, ControllerConfig(init_range=0.0), seed=0)
    tokens, log_prob = controller.sample(generator(), 3)
    replayed, entropy = controller.evaluate(tokens)
    assert entropy.tolist() == pytest.approx(3 * [math.log(space.size)])
    assert entropy[0].item() == pytest.approx(nats, abs=0.005)
    assert (-log_prob).tolist() == pytest.approx(entropy.tolist())
    assert (-replayed).tolist() == pytest.approx(entropy.tolist())


def test_entropy_is_the_mean_surprise_of_samples_and_has_finite_gradients():
    controller = Controller(SMALL.decisions, SHARP, seed=6)
    log_prob, entropy = controller.evaluate(every_string_of(SMALL))
    expected = (log_prob.exp() * entropy).sum()
    assert expected.item() == pytest.approx(-(log_prob.exp() * log_prob).sum().item(), abs=1e-6)
    expected.backward()
    assert all(bool(parameter.grad.isfinite().all()) for parameter in controller.parameters())


def test_randomness_comes_from_the_seed_and_the_generator_alone():
    before = torch.get_rng_state()
    one, same, other = (Controller(PAPER.decisions, ControllerConfig(), seed) for seed in (1, 1, 2))
    assert torch.equal(one.sample(generator(7))[0], same.sample(generator(7))[0])
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
