"""Scores of a video network on a split: what it gets right, and how steadily.

- Streamed, as it is used: the static network on the key frames of each clip, the head on the frames between them.
- Windowed, as cells are searched and trained: every window of so many frames, of which the last is scored.

Frames that have no past, the first ones of clips, are counted apart: on them a network is its static one.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from cache.rows import batched
from nas.evaluation.data import EvaluationData
from nas.evaluation.metrics import ConfusionMatrix
from nas.evaluation.streaming import segmented
from nas.evaluation.temporal_consistency import TemporalConsistency
from nas.networks.video_network import VideoNetwork
from nas.settings.compute import Compute

AT_ONCE: Final = 4  # windows
ClassMap = NDArray[np.uint8]


@dataclass(frozen=True)
class Evaluation:
    """Results of one network on `EvaluationData`."""

    later: ConfusionMatrix
    """Pixel counts of the streamed frames that have a past."""
    first: ConfusionMatrix
    """Pixel counts of the streamed frames that have none."""
    windowed: ConfusionMatrix
    """Pixel counts of the last frames of all windows."""
    consistency: Mapping[str, float]
    """Temporal consistency, as `tc`, `tc_unmasked` and `tc_etc`; empty without near frames."""
    shown: Mapping[int, ClassMap]
    """Predicted classes (H, W) of the frames that were asked for, by position."""

    def scores(self) -> dict[str, float]:
        """Collect all scores by name, in [0, 1]; one without a labelled pixel to stand on is left out."""
        parts = {"": self.later, "windowed_": self.windowed, "first_": self.first}
        counted = {prefix: matrix.scores() for prefix, matrix in parts.items() if matrix.counts.any()}
        named = {f"{prefix}{name}": score for prefix, each in counted.items() for name, score in each.items()}
        named |= {"pixel_accuracy": self.later.pixel_accuracy()} if "" in counted else {}
        return named | dict(self.consistency)

    def class_iou(self) -> list[float]:
        """IoU of each class over the streamed frames, NaN for a class that their labels do not have."""
        labelled = self.later.counts.cpu().sum(1) > 0
        iou: list[float] = self.later.iou().where(labelled, torch.nan).tolist()
        return iou

    def class_shares(self) -> list[float]:
        """Share of each class in the labelled pixels of the streamed frames; 0 where there are none."""
        counts = self.later.counts.cpu().sum(1).double()
        shares: list[float] = (counts / counts.sum().clamp(min=1)).tolist()
        return shares


class _Steadiness:
    """Temporal consistency of maps that come one by one."""

    def __init__(self, data: EvaluationData, device: torch.device) -> None:
        self._flows, self._device = data.flows, device
        self._consistency = TemporalConsistency(len(data.classes), device)
        self._place, self._map = -1, torch.empty(0)

    def add(self, place: int, classes: Tensor) -> None:
        """Take the map (1, H, W) of the frame at `place`, the next one or that of another clip."""
        there, back = (self._place, place), (place, self._place)
        if self._flows is not None and there in self._flows.pairs:
            forward, backward = (self._flows.batch([pair], self._device) for pair in (there, back))
            self._consistency.update(self._map, classes, forward, backward)
        self._place, self._map = place, classes

    def scores(self) -> dict[str, float]:
        """Return the scores of `TemporalConsistency`; none if no pixel was counted."""
        try:
            return self._consistency.scores()
        except ValueError:
            return {}


def evaluate(
    network: VideoNetwork, data: EvaluationData, compute: Compute, shown: Collection[int] = (), name: str = ""
) -> Evaluation:
    """Score a network, which is moved to the device and left in eval mode.

    Args:
        network: of the data's classes.
        data: what it is scored on.
        compute: where and how precisely.
        shown: positions whose predictions are kept.
        name: for the progress bar.
    """
    network.to(compute.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    first, later = (ConfusionMatrix(len(data.classes), compute.device) for _ in range(2))
    steadiness, kept = _Steadiness(data, compute.device), {}
    with tqdm(desc=name, total=sum(map(len, data.clips)), unit="frame", leave=False, disable=None) as progress:
        for clip in data.clips:
            stream = segmented(network, data.frames, ([place] for place in clip), compute)
            for place, (pred, labels) in zip(clip, stream, strict=True):
                (first if place == clip.start else later).update(pred, labels)
                steadiness.add(place, pred)
                if place in shown:
                    kept[place] = pred[0].byte().cpu().numpy()
                progress.update()
    return Evaluation(later, first, score_windows(network, data, compute), steadiness.scores(), kept)


def score_windows(network: VideoNetwork, data: EvaluationData, compute: Compute) -> ConfusionMatrix:
    """Score the last frame of every window, whose first one alone is a key frame, as in training."""
    matrix = ConfusionMatrix(len(data.classes), compute.device)
    for positions in tqdm(batched(data.windows, AT_ONCE), "windows", unit="batch", leave=False, disable=None):
        *_, last = segmented(network, data.frames, positions.T.tolist(), compute, refresh=0)
        matrix.update(*last)
    return matrix


def labels_consistency(data: EvaluationData) -> dict[str, float]:
    """Score the labels under the same flow: a network that is always right, drawn by hand at its edges."""
    steadiness, cpu = _Steadiness(data, torch.device("cpu")), torch.device("cpu")
    for clip in data.clips if data.flows is not None else ():
        for place in clip:
            steadiness.add(place, data.frames.batch([place], cpu)[1])
    return steadiness.scores()
