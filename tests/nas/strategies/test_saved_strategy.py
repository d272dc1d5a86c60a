"""A search resumed with what its strategy had learnt gives the trials and the weights of one that was never stopped."""

import contextlib
import math
from dataclasses import replace

import pytest
import torch

from nas.runs.trial import Trial
from nas.search import search
from nas.settings.config import SearchConfig
from nas.settings.errors import RunError
from nas.settings.strategy_config import ControllerConfig, PPOConfig
from nas.strategies.ppo import PPO
from nas.strategies.saved_strategy import EVERY, SavedStrategy
from nas.training.candidates.early_stopping import EarlyStopping
from nas.workers.executor import InlineExecutor
from searchspace.space import Space

SPACE = Space.load("paper", blocks=2)
TRIALS, LOOKAHEAD = 34, 4


class Killed(BaseException):
    pass


class Store:
    """A log in memory whose process dies when it holds so many trials."""

    def __init__(self, trials, dies_at=None):
        self.trials, self.dies_at = list(trials), dies_at

    def append(self, trial):
        if len(self.trials) == self.dies_at:
            raise Killed
        self.trials.append(trial)


def evaluate(job):
    if job.number % 7 == 3:
        raise RuntimeError(f"cell {job.number} is bad")
    reward = math.sin(int(job.genotype.key, 16)) ** 2
    return Trial(number=job.number, genotype=job.genotype, status="finished", reward=reward, seed=job.seed)


def run(folder, recorded=(), dies_at=None, trials=TRIALS):
    """The log, the weights and the trials that the strategy was told."""
    ppo, told = PPO(SPACE, ControllerConfig(hidden=10), PPOConfig(buffer=15), seed=0), []
    tell = ppo.tell
    ppo.tell = lambda trial: (told.append(trial.number), tell(trial))
    store = Store(recorded, dies_at)
    kept = SavedStrategy(ppo, folder / "strategy.pt", store.trials, LOOKAHEAD)
    executor = InlineExecutor(lambda: evaluate, threads=1)
    with contextlib.suppress(Killed):
        search(kept, executor, store, SearchConfig(trials=trials, lookahead=LOOKAHEAD), EarlyStopping())
    weights = torch.cat([parameter.detach().flatten() for parameter in ppo.controller.parameters()])
    return [replace(trial, worker="", seconds=0.0) for trial in store.trials], weights, told


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return run(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("dies_at", [1, EVERY - 1, EVERY + 1, EVERY + 5, 3 * EVERY, TRIALS - 1])
def test_a_killed_search_goes_on_to_the_same_trials_and_weights_and_learns_little_again(tmp_path, whole, dies_at):
    recorded, _, _ = run(tmp_path, dies_at=dies_at)
    trials, weights, told = run(tmp_path, recorded)
    assert trials == whole[0]
    assert torch.equal(weights, whole[1])
    assert TRIALS - len(told) >= dies_at - EVERY - LOOKAHEAD


def test_a_finished_search_that_is_prolonged_is_as_if_it_had_always_been_longer(tmp_path, whole):
    recorded, _, _ = run(tmp_path, trials=EVERY + 2)  # saved where it would not ask for more, it could not go on
    trials, weights, _ = run(tmp_path, recorded)
    assert trials == whole[0]
    assert torch.equal(weights, whole[1])


def test_what_was_learnt_from_other_trials_or_is_damaged_does_not_count(tmp_path, whole, caplog):
    run(tmp_path)
    _, _, told = run(tmp_path, whole[0][:5])
    assert len(told) == TRIALS
    assert "learnt from other trials" in caplog.text
    file = tmp_path / "strategy.pt"
    file.write_bytes(file.read_bytes()[:-7])
    _, weights, told = run(tmp_path, whole[0])
    assert len(told) == TRIALS
    assert torch.equal(weights, whole[1])
    assert "damaged" in caplog.text


def test_trials_of_other_costs_are_other_trials(tmp_path, whole, caplog):
    run(tmp_path)
    dearer = [replace(trial, cost={**trial.cost, "relative_macs": 0.9}) for trial in whole[0]]
    _, _, told = run(tmp_path, dearer)
    assert len(told) == TRIALS
    assert "learnt from other trials" in caplog.text


def test_the_file_of_another_version_is_refused_with_what_to_do(tmp_path, whole):
    run(tmp_path)
    file = tmp_path / "strategy.pt"
    torch.save(torch.load(file) | {"strategy": {}}, file)
    with pytest.raises(RunError, match="remove it"):
        run(tmp_path, whole[0])
