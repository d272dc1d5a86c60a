import math

import numpy as np
import pytest
import torch

from nas.runs.trial import Trial
from nas.settings.strategy_config import ControllerConfig, PPOConfig
from nas.strategies.controller import Controller
from nas.strategies.ppo import PPO, Experience, clipped_surrogate
from searchspace.space import Space

SPACE = Space.load("paper")
SMALL = ControllerConfig(hidden=10)


def told(number, genotype, reward, status="finished"):
    return Trial(number=number, genotype=genotype, status="failed" if reward is None else status, reward=reward)


PAPER = {"clip": 0.1, "learning_rate": 1e-4, "buffer": 100, "minibatch": 10}


def ppo(seed=0, controller=SMALL, **settings):
    return PPO(SPACE, controller, PPOConfig(**PAPER | settings), seed)


def after(strategy, rewards, lookahead=1):
    """Ask for as many cells as there are rewards, `lookahead` ahead of telling, then tell what is left."""
    cells = []
    for number in range(len(rewards) + lookahead):
        if number >= lookahead:
            strategy.tell(told(number - lookahead, cells[number - lookahead], rewards[number - lookahead]))
        if number < len(rewards):
            cells.append(strategy.ask())
    return cells


def parameters(strategy):
    return torch.cat([parameter.detach().flatten() for parameter in strategy.controller.parameters()])


def test_a_cell_that_has_become_likely_by_far_leaves_the_loss_and_its_gradient_finite():
    old = torch.tensor([-800.0, -40.0], dtype=torch.float64)
    log_prob = torch.tensor([0.0, -40.0], dtype=torch.float64, requires_grad=True)
    value = clipped_surrogate(log_prob, old, torch.tensor([-2.0, -2.0], dtype=torch.float64), clip=0.1)
    value.backward()
    assert value.item() == pytest.approx((2 * math.exp(20) + 2) / 2)
    assert log_prob.grad.tolist() == pytest.approx([0.0, 1.0])


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "gradient"),
    [  # clip = 0.1; the gradient is d loss / d log_prob
        pytest.param(1.0, 2.0, -2.0, -2.0, id="on policy: plain policy gradient"),
        pytest.param(1.05, 2.0, -2.1, -2.1, id="within the clip the ratio counts"),
        pytest.param(1.5, 2.0, -2.2, 0.0, id="a gain past the clip earns no more"),
        pytest.param(1.5, -2.0, 3.0, 3.0, id="a loss past the clip is felt in full"),
        pytest.param(0.5, -2.0, 1.8, 0.0, id="a bad cell made rare enough is left alone"),
        pytest.param(0.5, 2.0, -1.0, -1.0, id="a good cell made rare is brought back"),
    ],
)
def test_the_clipped_surrogate_is_equation_7(ratio, advantage, loss, gradient):
    old = torch.tensor([-40.0], dtype=torch.float64)
    log_prob = (old + math.log(ratio)).requires_grad_()
    value = clipped_surrogate(log_prob, old, torch.tensor([advantage], dtype=torch.float64), clip=0.1)
    value.backward()
    assert value.item() == pytest.approx(loss)
    assert log_prob.grad.item() == pytest.approx(gradient)


@pytest.mark.parametrize("rows", [1, 3, 10])
def test_the_loss_of_a_minibatch_of_any_size_is_the_mean_done_by_hand(rows):
    strategy = ppo(entropy=0.01)
    rng = np.random.default_rng(rows)
    tokens = torch.tensor([SPACE.tokens(SPACE.uniform(rng)) for _ in range(rows)])
    advantage, shift = rng.normal(size=rows), rng.normal(scale=0.2, size=rows)
    alone = [strategy.controller.evaluate(row[None]) for row in tokens]  # one by one: nothing to broadcast
    old = torch.tensor([log_prob.item() - s for (log_prob, _), s in zip(alone, shift, strict=True)])
    by_hand = 0.0
    for a, s, (_, entropy) in zip(advantage, shift, alone, strict=True):
        ratio = math.exp(s)
        by_hand -= min(ratio * a, min(max(ratio, 0.9), 1.1) * a) / rows + 0.01 * entropy.item() / rows
    loss = strategy.loss(Experience(tokens, old.double(), torch.tensor(advantage)))
    assert loss.shape == ()
    assert loss.item() == pytest.approx(by_hand, abs=1e-5)  # old log-probabilities near -46 are float32 here


@pytest.mark.parametrize("minibatch", [1, 3, 10, 100])
def test_an_update_goes_once_through_exactly_the_latest_trials(minibatch):
    strategy = ppo(buffer=7, minibatch=minibatch, baseline_decay=0.5)
    cells = after(strategy, [0.1 * number for number in range(9)], lookahead=3)
    batches = list(strategy.minibatches(epoch=0))
    assert [len(batch.tokens) for batch in batches] == {1: 7 * [1], 3: [3, 3, 1]}.get(minibatch, [7])
    assert all(batch.old_log_prob.shape == batch.advantage.shape == batch.tokens.shape[:1] for batch in batches)
    baseline = 0.0
    for number in range(1, 9):
        baseline = 0.5 * baseline + 0.5 * 0.1 * number
    seen = {tuple(row.tolist()): a for batch in batches for row, a in zip(batch.tokens, batch.advantage, strict=True)}
    assert set(seen) == {SPACE.tokens(cell) for cell in cells[2:]}  # no older ones, and no empty slots
    for number in range(2, 9):
        assert seen[SPACE.tokens(cells[number])].item() == pytest.approx(0.1 * number - baseline)


def test_a_buffer_that_is_not_full_has_no_empty_slots():
    strategy = ppo(buffer=100)
    after(strategy, [0.5, 0.6, 0.7])
    assert sum(len(batch.tokens) for batch in strategy.minibatches(epoch=0)) == 3


def test_the_first_reward_is_the_first_baseline_and_teaches_nothing():
    strategy = ppo()
    before = parameters(strategy)
    after(strategy, [0.6])
    assert strategy.baseline == 0.6
    assert torch.equal(parameters(strategy), before)


def test_the_baseline_moves_before_it_is_subtracted():
    strategy = ppo()
    after(strategy, [0.6, 0.8])
    assert strategy.baseline == pytest.approx(0.95 * 0.6 + 0.05 * 0.8)
    advantages = torch.cat([batch.advantage for batch in strategy.minibatches(epoch=0)])
    assert sorted(advantages.tolist()) == pytest.approx([0.6 - 0.61, 0.8 - 0.61])


def test_a_failed_trial_is_not_learned_from_but_an_early_stopped_one_is():
    strategy = ppo()
    after(strategy, [0.5, 0.7])
    before, baseline = parameters(strategy), strategy.baseline
    strategy.tell(told(2, strategy.ask(), None))
    assert torch.equal(parameters(strategy), before)
    assert strategy.baseline == baseline
    assert len(strategy.latest) == 2
    strategy.tell(told(3, strategy.ask(), 0.4, status="early_stopped"))
    assert strategy.baseline == pytest.approx(0.95 * baseline + 0.05 * 0.4)
    assert not torch.equal(parameters(strategy), before)


def test_a_failed_trial_takes_its_own_tokens_with_it():
    strategy = ppo(baseline_decay=0.0)
    cells = after(strategy, [0.5, None, 0.7], lookahead=3)
    rows = {tuple(row.tolist()) for batch in strategy.minibatches(epoch=0) for row in batch.tokens}
    assert rows == {SPACE.tokens(cells[0]), SPACE.tokens(cells[2])}


def test_a_good_cell_becomes_more_probable_and_a_bad_one_less():
    strategy = ppo(learning_rate=1e-3)
    cells = [strategy.ask() for _ in range(2)]
    tokens = torch.tensor([SPACE.tokens(cell) for cell in cells])
    before = strategy.controller.log_prob(tokens)
    for number, reward in enumerate([0.4, 0.8]):
        strategy.tell(told(number, cells[number], reward))
    worse, better = (strategy.controller.log_prob(tokens) - before).tolist()
    assert worse < 0 < better


def test_replaying_the_log_rebuilds_cells_and_parameters_bit_for_bit():
    rewards = [None if number % 7 == 3 else math.sin(number) ** 2 for number in range(25)]
    one, again = ppo(seed=5), ppo(seed=5)
    cells = after(one, rewards, lookahead=8)
    threads = torch.get_num_threads()
    torch.manual_seed(123)  # neither the global random state
    torch.set_num_threads(1 if threads > 1 else 2)  # nor the number of threads matters
    try:
        assert after(again, rewards, lookahead=8) == cells
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(parameters(again), parameters(one))
    assert again.ask() == one.ask()


def test_the_saved_controller_is_plain_tensors_and_loads_elsewhere(tmp_path):
    strategy = ppo(seed=5)
    after(strategy, [0.5, 0.7, 0.6])
    strategy.export(tmp_path)
    elsewhere = Controller(SPACE.decisions, SMALL, seed=99)
    elsewhere.load_state_dict(torch.load(tmp_path / "controller.pt", weights_only=True))
    tokens = torch.zeros(1, 25, dtype=torch.int64)
    assert torch.equal(elsewhere.log_prob(tokens), strategy.controller.log_prob(tokens))
