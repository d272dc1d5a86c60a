"""VideoData: frames, windows and clips that video networks learn from and are scored on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from baselines.warping import agree
from cache.datasets.clips import Dataset, labelled_clips, thin_labels, windows
from cache.datasets.findings import require_scored
from cache.flow import FlowCache, Pair, ensure_flows
from cache.frames import Frames
from nas.evaluation.streaming import streaming_confusion
from nas.networks.video_network import VideoNetwork
from nas.settings.compute import Compute
from nas.settings.wording import MASKS, Wording, wording
from nas.training.augmentation import NOWHERE
from nas.training.labels import check_windows
from nas.training.video.windows import Windows


@dataclass(frozen=True)
class VideoData:
    """Frames at the working resolution; those that fit in memory are decoded once for all networks."""

    train: Frames
    windows: tuple[tuple[int, ...], ...]
    """Positions in `train` of each window's frames, in time order."""
    val: Frames
    clips: tuple[range, ...]
    """Positions in `val` of each clip's frames."""
    flows: FlowCache | None = None
    """Optical flow of `train`, from near frames to those before them."""
    checked: bool = False
    """Lead flow `NOWHERE` where it does not agree with the flow back, which stands in `flows`, too."""
    words: Wording = MASKS
    """Words for the scores, which say whose labels they are by."""

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        size: tuple[int, int],
        length: int,
        flow_directory: Path | None = None,
        *,
        gaps: Sequence[int] = (1,),
        unlabelled: bool = False,
        label_every: int = 1,
        checked: bool = False,
    ) -> "VideoData":
        """Cut the whole training list into windows of `length` frames, and the validation list into clips.

        Args:
            dataset: with a training and a validation list.
            size: working height and width.
            length: frames in a window, where a clip has as many.
            flow_directory: for the optical flow of the training list; None does without.
            gaps: between the frames of a window, in multiples of the clips' own; each makes windows.
            unlabelled: take windows that end in a frame without a label, too.
            label_every: number of training frames of which one counts as labelled; see `thin_labels`.
            checked: let flow lead nowhere from what the other frame hides: where it and the flow back disagree.

        Raises:
            DataError: a list is absent, there is no window, or nothing can be scored; or flow is asked for and no two
                training frames are near enough.
        """
        train, val = dataset.frames("train"), dataset.frames("val")
        found = [each for gap in gaps for each in windows(train, length, step=gap, unlabelled=unlabelled)]
        check_windows(found, length, "training list", dataset)
        clips = labelled_clips(val)
        require_scored(clips, val, dataset.name, "val")
        flows = None
        if flow_directory is not None:
            offsets = (-1, 1) if checked else (-1,)
            flows = ensure_flows(dataset, "train", size=size, directory=flow_directory, offsets=offsets)
        positions = tuple(window.positions for window in found)
        learnt = Frames(dataset, thin_labels(train, label_every), size)  # in the same windows, whatever is labelled
        return cls(learnt, positions, Frames(dataset, val, size), clips, flows, checked, wording(dataset.name))

    def score(self, network: VideoNetwork, compute: Compute) -> dict[str, float]:
        """Score a network on the device, streamed over the validation list: what has a name in `words`, in [0, 1]."""
        matrix = streaming_confusion(network, self.val, self.clips, compute)
        scores = matrix.scores()
        if "pixel_accuracy" in self.words.trained.values():
            scores["pixel_accuracy"] = matrix.pixel_accuracy()
        return scores

    def read(self, positions: Tensor, device: torch.device) -> Windows:
        """Read windows by the positions of their frames, (N, T)."""
        images, labels = self.train.windows(positions, device)
        labelled = tuple(map(self.train.has_label, positions.T.tolist()))
        flows = None if self.flows is None else self._flows(self.flows, positions, device)
        return Windows(images, labels, labelled, flows)

    def _flows(self, flows: FlowCache, positions: Tensor, device: torch.device) -> Tensor:
        """Read flows (T - 1, N, 2, H, W) to the frames before; `NOWHERE`, so uncounted, where those are not near."""
        pairs = list(zip(positions.T[1:].flatten().tolist(), positions.T[:-1].flatten().tolist(), strict=True))
        near = [pair for pair in pairs if pair in flows.pairs]
        found = dict(zip(near, self._near_flows(flows, near, device), strict=True)) if near else {}
        nowhere = torch.full((2, *self.train.size), NOWHERE, device=device)
        count, frames = positions.shape
        return torch.stack([found.get(pair, nowhere) for pair in pairs]).view(frames - 1, count, *nowhere.shape)

    def _near_flows(self, flows: FlowCache, pairs: Sequence[Pair], device: torch.device) -> Tensor:
        """Read flows (P, 2, H, W) of pairs of near frames."""
        there = flows.batch(pairs, device)
        if not self.checked:
            return there
        back = flows.batch([(other, place) for place, other in pairs], device)
        return there.where(agree(there, back)[:, None], NOWHERE)
