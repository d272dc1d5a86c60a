"""Training a candidate: some epochs over the meta-train windows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR

from cache.rows import Batch, batched
from nas.networks.heads import Head
from nas.settings.config import CandidateConfig
from nas.settings.seeding import stream
from nas.training.candidates.clips import Clips
from nas.training.candidates.teaching import Teaching
from nas.training.fit import fit
from nas.training.optimizers import cosine


@dataclass(frozen=True)
class Descent:
    """How the weights of one head move, from its first step to its last."""

    optimizer: Adam
    schedulers: tuple[LambdaLR, ...]
    """Schedule of the learning rate; none where it is constant."""


@dataclass(frozen=True)
class Trainer:
    """Trains heads, all on the same windows in the same way."""

    clips: Clips
    windows: Sequence[tuple[int, ...]]
    """Positions in the cache of each window's frames, in time order."""
    settings: CandidateConfig
    loss: Teaching

    def descent(self, head: Head, epochs: int) -> Descent:
        """Make the optimiser and the schedule of one head's training over so many epochs, 0 if it shall not train."""
        optimizer = Adam(head.parameters(), lr=self.settings.learning_rate, fused=True)
        if self.settings.schedule == "constant" or not epochs:
            return Descent(optimizer, ())
        steps = sum(1 for _ in batched(self.windows[: self.settings.windows or None], self.settings.batch))
        return Descent(optimizer, (cosine(optimizer, steps * epochs),))

    def train(self, head: Head, descent: Descent, epochs: range, *, seed: int, parts: int) -> float:
        """Train in place and return the mean loss of the last epoch.

        Args:
            head: on the device of the computation.
            descent: the same for all epochs of one head.
            epochs: numbers of the epochs to run.
            seed: of the order of the windows, an epoch at a time, so that a pause changes nothing.
            parts: that each batch is trained in, one after the other, to save memory.

        Raises:
            NonFiniteError: a loss or a gradient became infinite or NaN.
        """
        head.train()
        return fit(
            partial(self.loss, head),
            partial(self._batches, seed),
            [descent.optimizer],
            epochs=epochs,
            schedulers=descent.schedulers,
            clip_norm=self.settings.clip_norm,
            split=partial(self.loss.split, count=parts),
        )

    def _batches(self, seed: int, epoch: int) -> Iterable[Batch]:
        generator = torch.Generator().manual_seed(stream(seed, "order", epoch))
        order = torch.randperm(len(self.windows), generator=generator).tolist()[: self.settings.windows or None]
        shuffled = batched([self.windows[place] for place in order], self.settings.batch)
        return self.clips.batches(shuffled, label="label8", of=slice(1, None))
