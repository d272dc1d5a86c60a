"""Temporal consistency: does a surface keep its class from one frame to the next?

Mean IoU between the predictions for a frame and those for the frame before, which optical flow brings to the same
pixels. The measure is that of Liu et al., ECCV 2020 (ETC, arXiv:2002.11433), section 4; masks and warp are ours.

It says nothing about accuracy: a network that sees one class everywhere is perfectly consistent. Scores are comparable
only under one implementation, one optical flow and one gap between the frames. Where frames are a second apart, flow
means nothing, and neither does this; `cache.flow.short_pairs` are the pairs to feed. The score that the labels
themselves get under the same flow is the ceiling: feed them to another `TemporalConsistency`.
"""

import torch
from torch import Tensor

from baselines.warping import agree, in_frame, warp, warp_classes
from cache.datasets.clips import VOID
from nas.evaluation.metrics import ConfusionMatrix


class TemporalConsistency:
    """Three variants, each from one confusion matrix pooled over the pixels of all pairs.

    - `tc`, ours: classes of the nearest pixel; what left the frame or was covered does not count. Mean over the classes
      that occur in either frame.
    - `tc_unmasked`: the same over all pixels; those from outside get the nearest class of the border.
    - `tc_etc`, as the published code of ETC does it: the later frame is brought to the earlier one by interpolating
      class *numbers* and cutting off decimals, which makes classes up along edges; all pixels count, and a class that
      occurs nowhere counts as 0.
    """

    def __init__(self, classes: int, device: torch.device | str = "cpu") -> None:
        self._masked, self._unmasked, self._etc = (ConfusionMatrix(classes, device) for _ in range(3))

    def update(self, earlier: Tensor, later: Tensor, forward: Tensor, backward: Tensor) -> None:
        """Count N pairs of frames.

        Args:
            earlier: predicted classes, or labels with VOID, whose pixels do not count; integer (N, H, W).
            later: those of the later frames.
            forward: flow from the earlier frames to the later ones, float32 (N, 2, H, W); see `cache.flow`.
            backward: flow from the later frames to the earlier ones.
        """
        before = warp_classes(earlier, backward)
        _count(self._unmasked, before, later)
        seen = in_frame(backward) & agree(backward, forward)
        _count(self._masked, before, later.where(seen, VOID))
        _count(self._etc, _interpolated(later, forward), earlier)

    def scores(self) -> dict[str, float]:
        """`tc`, `tc_unmasked` and `tc_etc`, each in [0, 1].

        Raises:
            ValueError: no surface was seen in both frames of a pair.
        """
        if not self._masked.counts.any():
            raise ValueError("no pixel was seen in both frames of a pair, so there is no temporal consistency")
        return {
            "tc": self._masked.iou().nanmean().item(),
            "tc_unmasked": self._unmasked.iou().nanmean().item(),
            "tc_etc": self._etc.iou().nan_to_num(0).mean().item(),
        }


def _count(matrix: ConfusionMatrix, warped: Tensor, other: Tensor) -> None:
    known = warped != VOID
    matrix.update(warped.where(known, 0), other.where(known, VOID))


def _interpolated(classes: Tensor, flow: Tensor) -> Tensor:
    """Class numbers as if they were measurements; VOID wherever a void pixel would have a part in one."""
    void = classes == VOID
    both = torch.stack(
        [classes.where(~void, 0), void], dim=1
    ).double()  # in double, so that 3 does not become 2.9999999
    numbers, part = warp(both, flow.double()).unbind(1)
    return (numbers + 1e-6).long().where(part < 1e-6, VOID)
