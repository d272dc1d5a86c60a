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

from baselines.warping import agree, in_frame, positions, warp_classes
from cache.datasets.clips import VOID
from nas.evaluation.metrics import ConfusionMatrix


class TemporalConsistency:
    """Three variants, each from one confusion matrix pooled over the pixels of all pairs.

    - `tc`, ours: classes of the nearest pixel; what left the frame or was covered does not count. Mean over the classes
      that occur in either frame.
    - `tc_unmasked`: the same over all pixels; those from outside get the nearest class of the border.
    - `tc_etc`, as the published code of ETC does it: the later frame is brought to the earlier one by interpolating
      class *numbers* and cutting off decimals, which makes classes up along edges; all pixels count, and a class that
      occurs nowhere counts as 0. Rounding is theirs, too; the optical flow is ours, and so is what void does.
    """

    def __init__(self, classes: int, device: torch.device | str = "cpu") -> None:
        self._masked, self._unmasked, self._etc = (ConfusionMatrix(classes, device) for _ in range(3))

    def update(self, earlier: Tensor, later: Tensor, forward: Tensor, backward: Tensor) -> None:
        """Count N pairs of frames.

        Args:
            earlier: predicted classes, or labels with VOID, whose pixels do not count; integer (N, H, W).
            later: predicted classes of the later frames, as `earlier`.
            forward: flow from the earlier frames to the later ones, float32 (N, 2, H, W); see `cache.flow`.
            backward: flow from the later frames to the earlier ones.
        """
        before = warp_classes(earlier, backward)
        _count(self._unmasked, before, later)
        seen = in_frame(backward) & agree(backward, forward)
        _count(self._masked, before, later.where(seen, VOID))
        _count(self._etc, _interpolated(later, forward), earlier)

    def scores(self) -> dict[str, float]:
        """Compute `tc`, `tc_unmasked` and `tc_etc`, each in [0, 1].

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
    """Count the pixels that are void in neither of two maps (N, H, W)."""
    known = warped != VOID
    matrix.update(warped.where(known, 0), other.where(known, VOID))


def _interpolated(classes: Tensor, flow: Tensor) -> Tensor:
    """Warp class numbers as if they were measurements; VOID wherever a void pixel would have a part in one.

    The arithmetic is that of the warp which the published code calls (FlowNet2's `Resample2d`): each of the four
    products is rounded to float32 before they are added, and decimals are cut off. So 1 to 3 % of the pixels of a map
    of one class fall to the class below.
    """
    void = classes == VOID
    values = torch.stack([classes.where(~void, 0), void], dim=1).float()
    numbers, part = _product_sum(values, flow).unbind(1)
    return numbers.long().where(part == 0, VOID)


def _product_sum(values: Tensor, flow: Tensor) -> Tensor:
    """Bilinear warp of float32 values (N, C, H, W) by a flow (N, 2, H, W), in the order and precision of Resample2d."""
    x, y = positions(flow)
    left, top = x.floor(), y.floor()
    across, down = (x - left)[:, None], (y - top)[:, None]
    rest_across, rest_down = 1 - across.double(), 1 - down.double()

    def corner(right: int, below: int) -> Tensor:
        height, width = flow.shape[-2:]
        rows, columns = (top + below).clamp(0, height - 1).long(), (left + right).clamp(0, width - 1).long()
        index = (rows * width + columns).flatten(1)[:, None].expand(-1, values.shape[1], -1)
        return values.flatten(2).gather(2, index).view_as(values)

    total = (rest_across * rest_down * corner(0, 0)).float()
    total = total + (across * rest_down * corner(1, 0)).float()
    total = total + (rest_across * down * corner(0, 1)).float()
    return total + across * down * corner(1, 1)
