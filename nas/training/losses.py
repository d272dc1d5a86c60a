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
    total = functional.cross_entropy(logits.float(), target.long(), weights, ignore_index=VOID, reduction="sum")
    mass = weight_of(target, weights)
    return total / torch.where(mass > 0, mass, 1)


def weight_of(target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Count the labelled pixels, each by the weight of its class if there are `weights`: a scalar."""
    labels = target.long()
    labelled = labels != VOID
    return labelled.sum() if weights is None else (weights[labels.where(labelled, 0)] * labelled).sum()


def relative_error(features: Tensor, known: Tensor) -> Tensor:
    """Mean squared distance of features (N, C, h, w) from known ones, over the mean square of these: a scalar, float32.

    Where all that is known is 0, the distance stands by itself.
    """
    known = known.float()
    energy = known.square().mean()
    return functional.mse_loss(features.float(), known) / torch.where(energy > 0, energy, 1)


def class_weights(counts: Tensor) -> Tensor:
    """Weigh classes with pixel counts `counts`, (classes,), and so shares p, by 1 / ln(1.02 + p).

    Between 1.42 (the only class) and 50.5 (an absent one, as all are where nothing is labelled). Paszke et al. 2016
    (ENet, arXiv:1606.02147), section 5.2.
    """
    return 1 / torch.log(1.02 + counts.float() / counts.sum().clamp(min=1))
