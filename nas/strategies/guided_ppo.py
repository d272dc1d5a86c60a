"""Guided PPO: the controller learns from rewards, and from what a predictor makes of cells that nobody has trained.

After every reward the predictor is fitted anew on all trials, and after every few a PPO update goes through the latest
trials and the controller's latest samples with their predicted rewards (after DyNA PPO, Angermueller et al., ICLR 2020,
made for few and expensive evaluations). What is proposed is the best of many by predicted mean and doubt: the
controller's samples, mutants of the best cells so far, and mutants of the best of both. A predictor that does no better
than the mean in cross-validation is not listened to. Cells to start from are proposed first, so that their rewards
count like others'.

Ours: old log-probabilities are those of the controller at the start of an update, as most proposals are not its own;
the baseline is the mean of the rewards in an update; and no cell is proposed twice while there are others.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.random import Generator as Rng
from numpy.random import default_rng
from torch import Generator, Tensor

from nas.runs.trial import Trial
from nas.settings.seeding import stream
from nas.settings.strategy_config import ControllerConfig, PPOConfig, PredictorConfig
from nas.strategies.controller import Controller
from nas.strategies.ppo import Experience, imitate, minibatches, policy_loss, single_thread
from nas.strategies.predictor import CostTarget, Predictor, Tokens, Values
from nas.training.fit import fit
from searchspace.genotype import Genotype
from searchspace.space import Space

PARENTS: Final = 8  # best cells whose mutants are considered
CLIMBS: Final = 3  # times that the best of the considered have mutants themselves
TRIES: Final = 8  # samples of the controller, of which the first new one is proposed


class GuidedPPO:
    """The strategy `ppo`."""

    def __init__(
        self,
        space: Space,
        controller: ControllerConfig,
        ppo: PPOConfig,
        config: PredictorConfig,
        seed: int,
        start: Sequence[Genotype] = (),
        target: CostTarget | None = None,
    ) -> None:
        self.space, self.ppo, self.config, self.seed = space, ppo, config, seed
        self.sizes = np.array([decision.choices for decision in space.decisions])
        self.controller = Controller(space.decisions, controller, seed)
        self._start = np.array([space.tokens(genotype) for genotype in start], np.int64)
        if start:
            imitate(self.controller, torch.from_numpy(self._start))
        self.optimizer = torch.optim.Adam(self.controller.parameters(), ppo.learning_rate, fused=True)
        self.predictor, self._target = Predictor(space, target), target
        self.asked: list[Tokens] = []
        self.rewards: list[float | None] = []  # of the cells told, in the order of asking; None if failed
        self.costs: list[float] = []  # of the same; without a target, or if failed, 0
        with single_thread():
            self.samples = self._sample(config.samples, "samples", 0)  # of the controller after its latest update
        self._keys: set[str] = set()  # of the cells asked for

    @single_thread()
    def ask(self) -> Genotype:
        ranked = self._ranked()
        tokens = next((tokens for tokens in ranked if self._cell(tokens).key not in self._keys), ranked[0])
        return self._note(tokens)

    @single_thread()
    def tell(self, trial: Trial) -> None:
        self.rewards.append(trial.reward)
        self.costs.append(trial.cost[self._target.name] if self._target and trial.ok else 0.0)
        if trial.reward is None:
            return
        tokens, rewards, costs = self._learnt()
        self._refit(tokens, rewards, costs)
        if len(rewards) % self.config.every:
            return
        self._update(torch.from_numpy(tokens), torch.from_numpy(rewards))
        self.samples = self._sample(self.config.samples, "samples", len(rewards))

    def know_costs(self, cost_of: Callable[[Genotype], float]) -> None:
        self.predictor.know_costs(cost_of)

    def _ranked(self) -> Tokens:
        """Return cells (n, D) that may be proposed, what to propose first."""
        if len(self.asked) < len(self._start):
            return self._start[len(self.asked) :]
        tokens, rewards, _ = self._learnt()
        if len(rewards) < self.config.start:
            return self._sample(TRIES, "sample", len(self.asked)).numpy()
        rng = default_rng(stream(self.seed, "mutants", len(self.asked)))
        best = tokens[np.argsort(-rewards, kind="stable")[:PARENTS]]
        pool = np.concatenate([self.samples.numpy(), mutants(best, self.sizes, self.config.mutants, rng)])
        if not self.predictor.knows:
            return rng.permutation(pool)
        for _ in range(CLIMBS):
            pool = self._by_promise(pool)
            pool = np.concatenate([pool, mutants(pool[:PARENTS], self.sizes, self.config.mutants, rng)])
        return self._by_promise(pool)

    def _by_promise(self, pool: Tokens) -> Tokens:
        mean, doubt = self.predictor.predict(pool)
        return pool[np.argsort(-(mean + self.config.optimism * doubt), kind="stable")]

    def _refit(self, tokens: Tokens, rewards: Values, costs: Values) -> None:
        """Fit the predictor on all rewards, if they suffice."""
        if len(rewards) >= self.config.start:
            self.predictor.fit(tokens, rewards, costs)

    def _update(self, tokens: Tensor, rewards: Tensor) -> None:
        """Move the controller by the latest trials, and by samples of its own with what the predictor makes of them."""
        count = len(rewards)
        tokens, rewards = tokens[-self.ppo.buffer :], rewards[-self.ppo.buffer :]
        if self.predictor.knows:
            predicted, _ = self.predictor.predict(self.samples.numpy())
            tokens, rewards = torch.cat([tokens, self.samples]), torch.cat([rewards, torch.from_numpy(predicted)])
        spread = rewards.std(correction=0)
        if spread == 0:
            return
        with torch.no_grad():
            old = self.controller.log_prob(tokens)
        experience = Experience(tokens, old, (rewards - rewards.mean()) / spread)
        fit(
            lambda batch: policy_loss(self.controller, batch, self.ppo),
            lambda epoch: minibatches(experience, self.ppo.minibatch, stream(self.seed, "minibatches", count, epoch)),
            [self.optimizer],
            epochs=range(self.ppo.update_epochs),
            clip_norm=self.ppo.clip_norm,
        )

    def _sample(self, count: int, *name: str | int) -> Tensor:
        """Draw cells (count, D) of the controller, from the stream of this name."""
        return self.controller.sample(Generator().manual_seed(stream(self.seed, *name)), count)[0]

    def _learnt(self) -> tuple[Tokens, Values, Values]:
        """Return the cells (n, D) that have a reward, their rewards and costs (n,), in the order of asking."""
        known = [number for number, reward in enumerate(self.rewards) if reward is not None]
        tokens = np.array([self.asked[number] for number in known], np.int64).reshape(-1, len(self.sizes))
        rewards, costs = ([values[number] for number in known] for values in (self.rewards, self.costs))
        return tokens, np.array(rewards, np.float64), np.array(costs, np.float64)

    def _note(self, tokens: Tokens) -> Genotype:
        cell = self._cell(tokens)
        self.asked.append(tokens.copy())  # or it would hold on to the thousands that it was chosen from
        self._keys.add(cell.key)
        return cell

    def _cell(self, tokens: Tokens) -> Genotype:
        return self.space.genotype(tuple(tokens.tolist()))

    def pending_cells(self) -> list[Genotype]:
        return [self._cell(tokens) for tokens in self.asked[len(self.rewards) :]]

    def state_dict(self) -> dict[str, Any]:
        return {
            "controller": self.controller.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "asked": torch.from_numpy(np.array(self.asked, np.int64)),
            "rewards": list(self.rewards),
            "costs": list(self.costs),
            "samples": self.samples,
        }

    @single_thread()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.controller.load_state_dict(state["controller"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.rewards, self.costs, self.samples = list(state["rewards"]), list(state["costs"]), state["samples"]
        for tokens in state["asked"].numpy():
            self._note(tokens)
        self._refit(*self._learnt())  # rather than trust a file with a model

    def export(self, directory: Path) -> None:
        self.controller.export(directory)


def mutants(parents: Tokens, sizes: Tokens, count: int, rng: Rng) -> Tokens:
    """Draw cells (count, D), each one of the parents (n, D) after one change of a token or two.

    Two changes may meet in one token, and the second then undo the first.
    """
    cells = parents[rng.integers(len(parents), size=count)]
    rows = np.arange(count)
    twice = rng.random(count) < 0.5
    for changed in (np.ones(count, bool), twice):
        place = rng.choice(np.flatnonzero(sizes > 1), count)
        step = rng.integers(1, sizes[place])
        cells[rows[changed], place[changed]] += step[changed]
        cells[rows, place] %= sizes[place]
    return cells
