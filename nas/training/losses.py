"""Losses of a segmentation, on logits and labels of the same size."""

import torch
from torch import Tensor
from torch.nn import functional

from cache.datasets.clips import VOID


def cross_entropy(logits: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean cross-entropy over the labelled pixels, a scalar in float32.

    Args:
        logits: (N, classes, h, w), any floating type.
        target: integer (N, h, w), classes or VOID, which has no part in the mean.
        weights: of the classes, (classes,); the mean is then a weighted one.

    A batch without a single labelled pixel has loss 0 and gradient 0, not NaN.
    """
    labels = target.long()
    total = functional.cross_entropy(logits.float(), labels, weights, ignore_index=VOID, reduction="sum")
    labelled = labels != VOID
    mass = labelled.sum() if weights is None else (weights[labels.where(labelled, 0)] * labelled).sum()
    return total / torch.where(mass > 0, mass, 1)


def class_weights(counts: Tensor) -> Tensor:
    """Weigh classes with pixel counts `counts`, (classes,), and so shares p, by 1 / ln(1.02 + p).

    Between 1.42 (the only class) and 50.5 (an absent one). Paszke et al. 2016 (ENet, arXiv:1606.02147), section 5.2.
    """
    return 1 / torch.log(1.02 + counts.float() / counts.sum())
