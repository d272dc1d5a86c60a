"""PPO: proximal policy optimisation of the controller, one update a trial, and nothing else, on one page.

Schulman et al. 2017 (arXiv:1707.06347) with a whole cell as the only action of an episode: no value network, the
advantage is the reward less a moving average of rewards. As in the ancestor, an update goes through the latest
`buffer` trials, each against its log-probability at the time of sampling. Ours: the buffer has no empty slots (the
ancestor's starts with 100 made-up cells), mini-batches of any size, and a failed trial is no experience.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Generator, Tensor

from nas.runs.trial import Trial
from nas.settings.seeding import stream
from nas.settings.strategy_config import ControllerConfig, PPOConfig
from nas.strategies.controller import Controller
from nas.training.fit import fit
from searchspace.genotype import Genotype
from searchspace.space import Space

IMITATION_RATE: Final = 1e-3
LOG_RATIO: Final = 20.0  # the highest; a policy that has made up its mind moves unlikely cells by more in one step


@dataclass(frozen=True)
class Experience:
    """Experience of B trials with cells of D tokens each."""

    tokens: Tensor
    """Tokens of the cells, int64 (B, D)."""
    old_log_prob: Tensor
    """Log-probabilities of the cells when they were sampled, float64 (B,)."""
    advantage: Tensor
    """Advantages, the rewards less the baseline, float64 (B,)."""


def clipped_surrogate(log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """Return PPO's loss to minimise, a scalar; inputs (B,). Schulman et al. 2017 (arXiv:1707.06347), eq. 7, negated.

    Ours: a ratio above e^20 counts as that, or its gradient would overflow where the advantage is negative, as nothing
    clips it there.
    """
    ratio = (log_prob - old_log_prob).clamp(max=LOG_RATIO).exp()
    return -torch.min(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage).mean()


def policy_loss(controller: Controller, batch: Experience, config: PPOConfig) -> Tensor:
    """Return the clipped surrogate less the entropy bonus, a scalar."""
    log_prob, entropy = controller.evaluate(batch.tokens)
    surrogate = clipped_surrogate(log_prob, batch.old_log_prob, batch.advantage, config.clip)
    return surrogate - config.entropy * entropy.mean()


def minibatches(experience: Experience, size: int, seed: int) -> Iterator[Experience]:
    """Yield an experience in a random order, `size` cells at a time."""
    order = torch.randperm(len(experience.tokens), generator=Generator().manual_seed(seed))
    for rows in torch.split(order, size):
        yield Experience(experience.tokens[rows], experience.old_log_prob[rows], experience.advantage[rows])


@contextmanager
def single_thread() -> Iterator[None]:
    """Let torch use one thread: enough for matrices this small, and the last digits depend on the number."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@single_thread()
def imitate(controller: Controller, tokens: Tensor) -> None:
    """Warm start: move a controller towards some cells, and stop while it still samples others.

    Their log-likelihood is raised until it is half way between that of the controller as it is and certainty, so that
    what it samples shares many decisions with them and rarely all.

    Args:
        controller: changed in place.
        tokens: of the cells, int64 (B, D).
    """

    def loss(batch: Tensor) -> Tensor:
        return -controller.log_prob(batch).mean()

    optimizer = torch.optim.Adam(controller.parameters(), IMITATION_RATE, fused=True)
    half = loss(tokens).item() / 2
    fit(loss, lambda epoch: [tokens], [optimizer], epochs=range(1000), after_epoch=lambda epoch, value: value > half)


class PPO:
    """The strategy `ppo_plain`: asks the controller for a cell, and moves the controller when told how the cell did."""

    def __init__(
        self,
        space: Space,
        controller: ControllerConfig,
        config: PPOConfig,
        seed: int,
        start: Sequence[Genotype] = (),
    ) -> None:
        self.space, self.config, self.seed = space, config, seed
        self.controller = Controller(space.decisions, controller, seed)
        if start:
            imitate(self.controller, torch.tensor([space.tokens(genotype) for genotype in start]))
        self.optimizer = torch.optim.Adam(self.controller.parameters(), config.learning_rate, fused=True)
        self.baseline = 0.0  # moving average of the rewards told
        self.asked = self.told = 0
        self.pending: deque[tuple[Tensor, Tensor]] = deque()  # tokens and log-probability, oldest first
        self.latest: deque[tuple[Tensor, Tensor, float]] = deque(maxlen=config.buffer)  # the same with the reward

    @single_thread()
    def ask(self) -> Genotype:
        tokens, log_prob = self.controller.sample(Generator().manual_seed(stream(self.seed, "sample", self.asked)))
        self.asked += 1
        self.pending.append((tokens, log_prob))
        return self.space.genotype(tuple(tokens[0].tolist()))

    @single_thread()
    def tell(self, trial: Trial) -> None:
        tokens, log_prob = self.pending.popleft()
        self.told += 1
        if trial.reward is None:
            return
        # As in the ancestor, the first reward is the first baseline, and the baseline moves before it is subtracted.
        decay = self.config.baseline_decay if self.latest else 0.0
        self.baseline = decay * self.baseline + (1 - decay) * trial.reward
        self.latest.append((tokens, log_prob, trial.reward))
        fit(
            self.loss,
            self.minibatches,
            [self.optimizer],
            epochs=range(self.config.update_epochs),
            clip_norm=self.config.clip_norm,
        )

    def loss(self, batch: Experience) -> Tensor:
        return policy_loss(self.controller, batch, self.config)

    def minibatches(self, epoch: int) -> Iterator[Experience]:
        """Yield the latest trials in a random order, `minibatch` at a time; advantages are against today's baseline."""
        tokens, old_log_prob, reward = zip(*self.latest, strict=True)
        advantage = torch.tensor(reward, dtype=torch.float64) - self.baseline
        latest = Experience(torch.cat(tokens), torch.cat(old_log_prob), advantage)
        return minibatches(latest, self.config.minibatch, stream(self.seed, "minibatches", self.told, epoch))

    def pending_cells(self) -> list[Genotype]:
        """List the cells asked for and not told, oldest first."""
        return [self.space.genotype(tuple(tokens[0].tolist())) for tokens, _ in self.pending]

    def state_dict(self) -> dict[str, Any]:
        """Return all that asking and telling have changed, as tensors and plain values."""
        return {
            "controller": self.controller.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "baseline": self.baseline,
            "counts": (self.asked, self.told),
            "pending": list(self.pending),
            "latest": list(self.latest),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become what `state_dict` was taken of; the settings must be the same."""
        self.controller.load_state_dict(state["controller"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.baseline = state["baseline"]
        self.asked, self.told = state["counts"]
        self.pending = deque(state["pending"])
        self.latest = deque(state["latest"], maxlen=self.config.buffer)

    def export(self, directory: Path) -> None:
        self.controller.export(directory)
