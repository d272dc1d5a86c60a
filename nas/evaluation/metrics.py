"""Scores of a segmentation, all read off one confusion matrix pooled over the pixels of a split."""

import torch
from torch import Tensor

from cache.datasets.clips import VOID
from cache.errors import DataError


class ConfusionMatrix:
    """Pixel counts: row = label, column = prediction. Scores are pooled, never averages over frames.

    Every mean (`miou`, `fwiou`, `mean_accuracy`) goes over the classes that occur in the labels, so that all
    candidates on one split are averaged over the same classes. A class that is predicted but never labelled has IoU 0
    and no accuracy; it costs the pixels it took from others, and enters no mean.
    """

    def __init__(self, classes: int, device: torch.device | str = "cpu") -> None:
        self.classes = classes
        self.counts = torch.zeros(classes, classes, dtype=torch.int64, device=device)

    def update(self, pred: Tensor, target: Tensor) -> None:
        """Count a batch of predictions.

        Args:
            pred: classes, integer (N, H, W), in [0, classes).
            target: labels, integer (N, H, W) on the same device, in [0, classes) or VOID, which is not counted.

        Raises:
            ValueError: the shapes differ, or a label or a prediction is out of range; nothing was counted.
        """
        if pred.shape != target.shape:
            raise ValueError(f"predictions {tuple(pred.shape)} and labels {tuple(target.shape)} differ in shape")
        if target.dtype.is_signed and (target < 0).any():
            raise ValueError(f"labels must lie in [0, {self.classes}) or be {VOID}, but some are negative")
        if pred.numel() and not 0 <= pred.min() <= pred.max() < self.classes:  # it would count as another label's
            raise ValueError(f"predictions must lie in [0, {self.classes}), but go from {pred.min()} to {pred.max()}")
        # Void pixels go to a row of their own before the classes; a label out of range shows as a row too many.
        rows = torch.where(target == VOID, 0, target.int() + 1)
        counts = torch.bincount((rows * self.classes + pred).flatten(), minlength=(self.classes + 1) * self.classes)
        if len(counts) > (self.classes + 1) * self.classes:
            raise ValueError(f"labels must lie in [0, {self.classes}) or be {VOID}, but there is a {rows.max() - 1}")
        self.counts += counts.view(-1, self.classes)[1:]

    def iou(self) -> Tensor:
        """Intersection over union of each class, float64 (classes,); NaN if it is in neither labels nor predictions."""
        hits, labelled, predicted = self._sums()
        return hits / (labelled + predicted - hits)

    def accuracy(self) -> Tensor:
        """Share of each class's labelled pixels that were found, float64 (classes,); NaN if it has none."""
        hits, labelled, _ = self._sums()
        return hits / labelled

    def miou(self) -> float:
        """Mean IoU over the labelled classes. Raises DataError if no pixel is labelled, as all means do."""
        return self.iou()[self._present()].mean().item()

    def fwiou(self) -> float:
        """Mean IoU, each class weighted by its share of the labelled pixels."""
        present = self._present()
        _, labelled, _ = self._sums()
        return (self.iou()[present] * labelled[present]).sum().item() / labelled.sum().item()

    def mean_accuracy(self) -> float:
        """Mean of the classes' accuracies over the labelled classes."""
        return self.accuracy()[self._present()].mean().item()

    def pixel_accuracy(self) -> float:
        """Share of the labelled pixels that got their label."""
        self._present()
        hits, labelled, _ = self._sums()
        return (hits.sum() / labelled.sum()).item()

    def scores(self) -> dict[str, float]:
        """Return `miou`, `fwiou` and `mean_accuracy`, each in [0, 1]."""
        return {"miou": self.miou(), "fwiou": self.fwiou(), "mean_accuracy": self.mean_accuracy()}

    def _sums(self) -> tuple[Tensor, Tensor, Tensor]:
        counts = self.counts.cpu().double()
        return counts.diag(), counts.sum(1), counts.sum(0)

    def _present(self) -> Tensor:
        present = self.counts.cpu().sum(1) > 0
        if not present.any():
            raise DataError("no labelled pixel was counted, so there is no score; are the masks void everywhere?")
        return present
