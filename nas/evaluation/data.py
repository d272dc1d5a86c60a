"""EvaluationData: what video networks are compared on, one split at one working resolution."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cache.datasets.clips import Dataset, Split, labelled_clips, windows
from cache.datasets.findings import require_scored
from cache.flow import FlowCache, ensure_flows, short_pairs
from cache.frames import Frames
from nas.evaluation.examples import spread_evenly

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluationData:
    """One split of a data set, at one working resolution, on which all networks are scored."""

    dataset: Dataset
    split: Split
    size: tuple[int, int]
    """Working height and width."""
    frames: Frames
    """All frames of the split."""
    clips: tuple[range, ...]
    """Positions in `frames` of pieces without a jump, each up to its last labelled frame."""
    scored: tuple[int, ...]
    """Positions of the labelled frames that have a past."""
    windows: tuple[tuple[int, ...], ...]
    """Positions of each window's frames, in time order."""
    flows: FlowCache | None
    """Optical flow between near frames; None if no two are near enough for a score of temporal consistency."""

    @classmethod
    def of(cls, dataset: Dataset, split: Split, size: tuple[int, int], window: int, directory: Path) -> Self:
        """Find clips and windows, and make the optical flow if it is not there.

        Args:
            dataset: labelled clips.
            split: list of the data set.
            size: working height and width.
            window: number of frames in a window, where a clip has as many.
            directory: folder for the flow.

        Raises:
            DataError: the split is absent or damaged, or no labelled frame in it has a past.
        """
        frames = dataset.frames(split)
        if squashed(dataset.size, size):
            log.warning(
                "frames of %dx%d are scored at %dx%d, another aspect ratio: things look squashed", *dataset.size, *size
            )
        clips = labelled_clips(frames)
        scored = require_scored(clips, frames, dataset.name, split)
        near = bool(short_pairs(frames, 1))
        if not near:
            log.warning("no two frames of the %s list are near enough to score temporal consistency", split)
        return cls(
            dataset,
            split,
            size,
            frames=Frames(dataset, frames, size),
            clips=clips,
            scored=scored,
            windows=tuple(found.positions for found in windows(frames, window)),
            flows=ensure_flows(dataset, split, size=size, directory=directory) if near else None,
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.dataset.classes

    def examples(self, count: int) -> list[int]:
        """Choose at most `count` positions of scored frames, spread evenly over the split."""
        return spread_evenly(self.scored, count)


def squashed(native: tuple[int, int], size: tuple[int, int]) -> bool:
    """Tell whether a size, (height, width), has another aspect ratio than the native one, by more than rounding."""
    (height, width), (rows, columns) = native, size
    return abs(columns * height - rows * width) > (height + width) / 2  # half a pixel of each side
