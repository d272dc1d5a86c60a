"""Dense optical flow between near frames of a clip, made once for a split and cached like features.

A flow is float32 (H, W, 2): the surface at pixel p = (x, y) of a frame is at p + flow[y, x] in the other frame. Channel
0 is the way to the right and channel 1 the way down, in pixels.
"""

import contextlib
import functools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from cache.atomic import one_builder
from cache.datasets.clips import Dataset, Frame, Split, clips
from cache.errors import DataError
from cache.extract import fingerprint_of
from cache.features import FeatureCache, Spec
from cache.images import resize_image
from cache.sealed import CacheMismatch

Flow = NDArray[np.float32]
Pair = tuple[int, int]  # positions in the list of a split's frames, of a frame and of the other one
SHORT_GAP: Final = 6  # frames of the video: 1/5 s at 30 Hz, 1/3 s at 17 Hz
"""Farther apart, as CamVid's training frames are (1 s), what a flow tells has little to do with what moved."""
BATCH: Final = 8  # frames written at a time

log = logging.getLogger(__name__)


@runtime_checkable
class KnowsFlow(Protocol):
    """A data set that need not estimate its flow."""

    def flow(self, frame: Frame, offset: int) -> Flow:
        """Return the flow from `frame` to the one `offset` positions after it, at native size."""


@dataclass(frozen=True, eq=False)
class FlowCache:
    """Flows between frames of one split, by their positions."""

    cache: FeatureCache
    pairs: frozenset[Pair]
    """Pairs for which there is a flow."""

    def batch(self, pairs: Sequence[Pair], device: torch.device | str = "cpu") -> Tensor:
        """Read the flows of some pairs, float32 (N, 2, H, W): from the first frame of each to the second.

        Raises:
            KeyError: one of them is not in `pairs`.
        """
        missing = [pair for pair in pairs if pair not in self.pairs]
        if missing:
            raise KeyError(f"there is no flow between the frames at {missing[0]}: not near, or of an offset not made")
        flows = np.stack([self.cache.arrays[str(other - place)][place] for place, other in pairs])
        return torch.from_numpy(flows).to(device).permute(0, 3, 1, 2).float()


def optical_flow(image: NDArray[np.uint8], other: NDArray[np.uint8]) -> Flow:
    """Estimate the flow from one RGB image (H, W, 3) to another of its size.

    The method is dense inverse search (Kroeger et al., ECCV 2016, arXiv:1603.03590) in OpenCV's `medium` preset. The
    result depends on the images alone.
    """
    grey, other_grey = (cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in (image, other))
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(search.calc(grey, other_grey, None), np.float32)  # type: ignore[call-overload]


def resize_flow(flow: Flow, size: tuple[int, int]) -> Flow:
    """Express the same motion on a grid of `size` = (height, width): the flow under each new pixel's centre, scaled."""
    if flow.shape[:2] == size:
        return flow
    factors = np.divide(size, flow.shape[:2])
    rows, columns = (((np.arange(side) + 0.5) / factor).astype(int) for side, factor in zip(size, factors, strict=True))
    resized: Flow = flow[rows[:, None], columns] * factors[::-1].astype(np.float32)
    return resized


def short_pairs(frames: Sequence[Frame], offset: int) -> tuple[Pair, ...]:
    """Pair each frame with the one `offset` after it (negative: before), in one clip and a short gap apart."""
    pairs = ((place, place + offset) for clip in clips(frames) for place in clip if place + offset in clip)
    return tuple(pair for pair in pairs if abs(frames[pair[1]].number - frames[pair[0]].number) <= SHORT_GAP)


def ensure_flows(
    dataset: Dataset, split: Split, *, size: tuple[int, int], directory: Path, offsets: Sequence[int] = (1, -1)
) -> FlowCache:
    """Open the flows between the near frames of a split, making them first where they are absent or refused.

    Args:
        dataset: the clips; flows of one that knows them are exact, all others are estimated.
        split: of whose frames every `short_pairs` gets a flow.
        size: working height and width.
        directory: for the file `flow-<data set>-<height>x<width>-<fingerprint>.h5`, 4 bytes a pixel, frame and offset.
        offsets: from a frame to the other one, in positions; none is 0.

    Raises:
        DataError: no two frames are near enough, or a frame cannot be read.
        OSError: the directory cannot be written or the disk is full; nothing is left behind.
    """
    frames = dataset.frames(split)
    pairs = frozenset(pair for offset in offsets for pair in short_pairs(frames, offset))
    if not pairs:
        raise DataError(
            f"no two frames in the {split} list of {dataset.name} are at most {SHORT_GAP} frames of the video apart, "
            "so optical flow between them means nothing; give denser clips or do without it"
        )
    spec = _spec(dataset, split, size, offsets)
    fingerprint = fingerprint_of(spec)
    path = directory / f"flow-{dataset.name}-{size[0]}x{size[1]}-{fingerprint[:12]}.h5"
    with contextlib.suppress(FileNotFoundError, CacheMismatch):
        return FlowCache(FeatureCache.open(path, fingerprint), pairs)
    with one_builder(path):
        with contextlib.suppress(FileNotFoundError, CacheMismatch):
            return FlowCache(FeatureCache.open(path, fingerprint), pairs)  # by the process that this one waited for
        log.info("making the optical flow (%s) of %d pairs of frames: %s", spec["flow"], len(pairs), path)
        records = _records(dataset, frames, pairs, size, offsets)
        FeatureCache.build(path, fingerprint, spec, [frame.name for frame in frames], records)
        return FlowCache(FeatureCache.open(path, fingerprint), pairs)


def _spec(dataset: Dataset, split: Split, size: tuple[int, int], offsets: Sequence[int]) -> Spec:
    """Collect all that the content of the file depends on, as JSON."""
    return {
        "data set": dataset.name,
        "frames": [split, dataset.fingerprint(split)],
        "size": list(size),
        "offsets": list(offsets),
        "flow": "exact" if isinstance(dataset, KnowsFlow) else f"DIS medium, OpenCV {cv2.__version__}",
    }


def _records(
    dataset: Dataset, frames: Sequence[Frame], pairs: frozenset[Pair], size: tuple[int, int], offsets: Sequence[int]
) -> Iterator[dict[str, NDArray[np.float16]]]:
    """Make flows (n, H, W, 2) of a few frames at a time by offset; 0 where a frame has no partner."""

    @functools.lru_cache(maxsize=2 * max(map(abs, offsets)) + 1)
    def image(place: int) -> NDArray[np.uint8]:
        return resize_image(dataset.image(frames[place]), size)

    def flow(place: int, offset: int) -> Flow:
        if (place, place + offset) not in pairs:
            return np.zeros((*size, 2), np.float32)
        if isinstance(dataset, KnowsFlow):
            return resize_flow(dataset.flow(frames[place], offset), size)
        return optical_flow(image(place), image(place + offset))

    for start in tqdm(range(0, len(frames), BATCH), "optical flow", unit="batch", disable=None):
        places = range(start, min(start + BATCH, len(frames)))
        yield {str(offset): np.stack([flow(p, offset) for p in places]).astype(np.float16) for offset in offsets}
