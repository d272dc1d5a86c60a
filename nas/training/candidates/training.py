"""Training a candidate: some epochs over the meta-train windows, from labels."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.optim import Adam

from cache.datasets.clips import VOID
from cache.rows import Batch, batched
from nas.networks.heads import Head, unroll
from nas.settings.config import CandidateConfig
from nas.settings.seeding import stream
from nas.training.candidates.clips import Clips
from nas.training.fit import fit
from nas.training.losses import cross_entropy

Loss = Callable[[Head, Batch], Tensor]  # a scalar to minimise


@dataclass(frozen=True)
class LabelLoss:
    """Sum of cross-entropies at stride 8 over the frames after the first."""

    clips: Clips

    def __call__(self, head: Head, batch: Batch) -> Tensor:
        """Run `head` over a batch and compare it with its `label8`; a part of a batch counts by its `share`."""
        with self.clips.compute.autocast():
            logits = unroll(head, self.clips.features(batch))
        losses = torch.stack(list(map(cross_entropy, logits, batch["label8"])))
        return (losses * batch.get("share", 1)).sum()


@dataclass(frozen=True)
class Trainer:
    """Trains heads, all on the same windows in the same way."""

    clips: Clips
    windows: Sequence[tuple[int, ...]]
    """Positions in the cache of each window's frames, in time order."""
    settings: CandidateConfig
    loss: Loss

    def optimizer(self, head: Head) -> Adam:
        """Make the optimiser of one head's training."""
        return Adam(head.parameters(), lr=self.settings.learning_rate, fused=True)

    def train(self, head: Head, optimizer: Adam, epochs: range, *, seed: int, parts: int) -> float:
        """Train in place and return the mean loss of the last epoch.

        Args:
            head: on the device of the computation.
            optimizer: the same for all epochs of one head.
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
            [optimizer],
            epochs=epochs,
            clip_norm=self.settings.clip_norm,
            split=partial(split_batch, count=parts),
        )

    def _batches(self, seed: int, epoch: int) -> Iterable[Batch]:
        generator = torch.Generator().manual_seed(stream(seed, "order", epoch))
        order = torch.randperm(len(self.windows), generator=generator).tolist()
        shuffled = batched([self.windows[place] for place in order], self.settings.batch)
        return self.clips.batches(shuffled, label="label8", of=slice(1, None))


def split_batch(batch: Batch, count: int) -> list[Batch]:
    """Split a batch by its windows, with the `share` (T - 1,) of each frame's labelled pixels that a part has.

    Losses that are means over pixels, multiplied by these shares, add up to that of the batch.
    """
    if count == 1:
        return [batch]
    chunks = zip(*(rows.chunk(count, dim=1) for rows in batch.values()), strict=True)
    parts = [dict(zip(batch, rows, strict=True)) for rows in chunks]
    labelled = torch.stack([(part["label8"] != VOID).flatten(1).sum(1) for part in parts])
    shares = labelled / labelled.sum(0).clamp(min=1)
    return [part | {"share": share} for part, share in zip(parts, shares, strict=True)]
