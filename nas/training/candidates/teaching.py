"""The loss of a head on cached features: on every later frame how far it is from the static network and the label."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from baselines.etc_distillation import pixel_divergence
from cache.rows import Batch
from nas.networks.heads import Head, unroll_dec
from nas.training.candidates.clips import Clips
from nas.training.losses import cross_entropy, relative_error, weight_of
from searchspace.modules.cell import Features


class Terms(Protocol):
    """Weights of what a head learns from, each at least 0; settings of candidates and of retraining have them."""

    @property
    def dec_weight(self) -> float:
        """Weight of imitating `dec`."""

    @property
    def logit_weight(self) -> float:
        """Weight of imitating class probabilities."""

    @property
    def label_weight(self) -> float:
        """Weight of the labels' cross-entropy."""


@dataclass(frozen=True)
class Teaching:
    """The weighted sum, over terms and over the frames after the first, of what a head learns from.

    The terms are `dec` and `logits`, for which the static network is the teacher, and `labels`.
    """

    clips: Clips
    classifier: nn.Module
    """Classifier of the static network, which makes the logits to imitate out of its `dec`."""
    terms: Terms
    class_weights: Tensor | None = None
    """Weights of the classes in the term of the labels, (classes,); None weighs all alike."""

    def __call__(self, head: Head, batch: Batch) -> Tensor:
        """Run `head` over a batch of windows, or over a part of one from `split`, and return its loss, a scalar."""
        clip = self.clips.features(batch)
        with self.clips.compute.autocast():
            decs = unroll_dec(head, clip)
            logits = [head.classifier(dec) for dec in decs]
        weights = {name: weight for name, weight in self._weights().items() if weight > 0}
        losses = {name: torch.stack(self._losses(name, decs, logits, clip[1:], batch)) for name in weights}
        shared = [weights[name] * (each * batch.get(share_of(name), 1)).sum() for name, each in losses.items()]
        return torch.stack(shared).sum()

    def split(self, batch: Batch, count: int) -> list[Batch]:
        """Split a batch by its windows, with each part's share (T - 1,) of each term's denominator on every frame.

        The terms are means over pixels, or ratios; the parts', multiplied by these shares, add up to the batch's.
        """
        if count == 1:
            return [batch]
        chunks = zip(*(rows.chunk(count, dim=1) for rows in batch.values()), strict=True)
        parts: list[Batch] = [dict(zip(batch, rows, strict=True)) for rows in chunks]
        for name in self._weights():
            masses = torch.stack([self._masses(name, part) for part in parts])
            whole = masses.sum(0)
            for part, mass in zip(parts, masses, strict=True):
                part[share_of(name)] = mass / whole.where(whole > 0, 1)
        return parts

    def _weights(self) -> dict[str, float]:
        terms = self.terms
        return {"dec": terms.dec_weight, "logits": terms.logit_weight, "labels": terms.label_weight}

    def _losses(
        self, name: str, decs: list[Tensor], logits: list[Tensor], later: list[Features], batch: Batch
    ) -> list[Tensor]:
        """Compute one term on each later frame."""
        if name == "dec":
            return [relative_error(dec, features["dec"]) for dec, features in zip(decs, later, strict=True)]
        if name == "logits":
            known = [self._known(features) for features in later]
            return [pixel_divergence(seen, taught) for seen, taught in zip(logits, known, strict=True)]
        labels = batch["label8"]
        return [cross_entropy(seen, label, self.class_weights) for seen, label in zip(logits, labels, strict=True)]

    def _known(self, features: Features) -> Tensor:
        """Make the static network's logits of a frame."""
        with torch.no_grad(), self.clips.compute.autocast():
            logits: Tensor = self.classifier(features["dec"])
            return logits

    def _masses(self, name: str, part: Batch) -> Tensor:
        """Find what one term is divided by on each later frame, up to a factor that all parts have in common."""
        if name == "dec":
            return part["dec"][1:].float().square().flatten(1).sum(1)
        if name == "logits":
            return torch.full_like(part["dec"][1:, 0, 0, 0, 0], part["dec"].shape[1], dtype=torch.float32)
        return torch.stack([weight_of(label, self.class_weights) for label in part["label8"]])


def share_of(name: str) -> str:
    """Name the share of a term in a part of a batch."""
    return f"share of {name}"
