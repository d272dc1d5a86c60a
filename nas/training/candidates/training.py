"""Training a candidate: some epochs over the meta-train windows."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR

from cache.rows import Batch, batched
from nas.networks.heads import Head
from nas.settings.config import CandidateConfig
from nas.settings.seeding import stream
from nas.training.candidates.clips import Clips
from nas.training.candidates.teaching import Teaching
from nas.training.fit import backward_in_parts, fit
from nas.training.optimizers import cosine
from nas.training.replay import Backward, replay_on


@dataclass(frozen=True)
class Trainer:
    """Trains heads, all on the same windows in the same way."""

    clips: Clips
    windows: Sequence[tuple[int, ...]]
    """Positions in the cache of each window's frames, in time order."""
    settings: CandidateConfig
    loss: Teaching

    def schedule(self, head: Head, epochs: int, seed: int) -> LambdaLR:
        """Make the optimiser of one head's training over `epochs`, none if it shall not train, under its schedule."""
        optimizer = Adam(head.parameters(), lr=self.settings.learning_rate, fused=True)
        if self.settings.schedule == "constant":
            return LambdaLR(optimizer, lambda step: 1.0)
        steps = sum(1 for epoch in range(epochs) for _ in self._shuffled(seed, epoch))
        return cosine(optimizer, max(1, steps))

    def train(self, head: Head, schedule: LambdaLR, epochs: range, *, seed: int, parts: int) -> float:
        """Train in place and return the mean loss of the last epoch.

        Args:
            head: on the device of the computation.
            schedule: of the rates, with their optimiser; the same for all epochs of one head.
            epochs: numbers of the epochs to run.
            seed: seed of the order of the windows, an epoch at a time, so that a pause changes nothing.
            parts: that each batch is trained in, one after the other, to save memory.

        Raises:
            NonFiniteError: a loss or a gradient became infinite or NaN.
        """
        head.train()
        return fit(
            partial(self.loss, head),
            partial(self._batches, seed),
            [schedule.optimizer],
            epochs=epochs,
            schedulers=[schedule],
            clip_norm=self.settings.clip_norm,
            backward=self._backward(head, parts),
        )

    def _backward(self, head: Head, parts: int) -> Backward:
        if parts > 1:
            return partial(backward_in_parts, partial(self.loss.split, count=parts))
        return replay_on(self.clips.compute.device, head.parameters())

    def _batches(self, seed: int, epoch: int) -> Iterable[Batch]:
        return self.clips.batches(self._shuffled(seed, epoch), label="label8", of=slice(1, None))

    def _shuffled(self, seed: int, epoch: int) -> Iterator[Tensor]:
        """Draw the windows of an epoch; there are more batches of them where more lengths are among those drawn."""
        generator = torch.Generator().manual_seed(stream(seed, "order", epoch))
        order = torch.randperm(len(self.windows), generator=generator).tolist()[: self.settings.windows or None]
        return batched([self.windows[place] for place in order], self.settings.batch)
