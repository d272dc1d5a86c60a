"""Scoring a candidate: the last frame of every meta-val window, against its label at full size."""

from collections.abc import Sequence
from typing import Final

import torch

from cache.rows import batched
from nas.evaluation.metrics import ConfusionMatrix
from nas.networks.heads import Head, unroll
from nas.networks.logits import classes_of
from nas.training.candidates.clips import Clips

AT_ONCE: Final = 4  # windows whose logits are upsampled together: few stay in the processor's cache


@torch.no_grad()
def score(head: Head, clips: Clips, windows: Sequence[tuple[int, ...]], classes: int) -> dict[str, float]:
    """Return the `miou`, `fwiou` and `mean_accuracy` of a head, each in [0, 1].

    Args:
        head: left in eval mode.
        clips: that the windows are of.
        windows: positions of each window's frames, in time order; the last frame is scored.
        classes: of the labels.

    Raises:
        DataError: no pixel of the scored frames is labelled.
        NonFiniteError: a logit is infinite or NaN.
    """
    head.train(False)
    matrix = ConfusionMatrix(classes, clips.compute.device)
    for batch in clips.batches(batched(windows, AT_ONCE), label="label", of=slice(-1, None)):
        with clips.compute.autocast():
            logits = unroll(head, clips.features(batch))[-1]
        [labels] = batch["label"]
        matrix.update(classes_of(logits, labels.shape[1:]), labels)
    return matrix.scores()
