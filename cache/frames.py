"""Frames of a data set at the working resolution, one by one or in windows, as batches of tensors."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cache.cores import usable_cores
from cache.datasets.clips import VOID, Dataset, Frame
from cache.images import IMAGENET_MEAN, IMAGENET_STD, resize_image, resize_label

COUNTED_AT_ONCE: Final = 16  # frames whose labels are counted together

ImageAndLabel = tuple[NDArray[np.uint8], NDArray[np.uint8]]
KEPT_BYTES: Final = 4 * 2**30  # all of CamVid, not Cityscapes: a larger list is read again for every batch


class Frames:
    """Frames of a data set by their positions in a list. A list that fits in memory is decoded once, on first use."""

    def __init__(self, dataset: Dataset, frames: Sequence[Frame], size: tuple[int, int]) -> None:
        """Take `frames` of `dataset`, at `size` = (height, width); nothing is read yet."""
        self._dataset, self._frames, self.size = dataset, frames, size
        self._keeps = len(self._frames) * size[0] * size[1] * 4 <= KEPT_BYTES
        self._kept: dict[int, ImageAndLabel] = {}
        self._pool = ThreadPoolExecutor(usable_cores(), thread_name_prefix="decode")

    def __len__(self) -> int:
        return len(self._frames)

    def has_label(self, positions: Sequence[int]) -> bool:
        """Tell whether any of some frames has a label."""
        return any(self._frames[position].labelled for position in positions)

    def batch(self, positions: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
        """Read normalised images, float32 (N, 3, H, W) channels-last, and labels, uint8 (N, H, W).

        A frame without a label has one that is `VOID` everywhere.

        Raises:
            DataError: a frame or its label cannot be read.
        """
        images, labels = zip(*self._pool.map(self._pair, positions), strict=True)
        return network_input(images, self.size, device), torch.from_numpy(np.stack(labels)).to(device)

    def windows(self, positions: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
        """Read windows by the positions of their frames, (N, T): as `batch`, but (T, N, 3, H, W) and (T, N, H, W)."""
        images, labels = self.batch(positions.T.flatten().tolist(), device)
        count, frames = positions.shape
        return images.view(frames, count, *images.shape[1:]), labels.view(frames, count, *labels.shape[1:])

    def batches(self, size: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
        """Read all frames in order, `size` at a time."""
        for start in range(0, len(self), size):
            yield self.batch(range(start, min(start + size, len(self))), device)

    def _pair(self, position: int) -> ImageAndLabel:
        if position in self._kept:
            return self._kept[position]
        frame = self._frames[position]
        image = self._dataset.image(frame)
        label = self._dataset.label(frame) if frame.labelled else np.full(image.shape[:2], VOID, np.uint8)
        pair = resize_image(image, self.size), resize_label(label, self.size)
        if self._keeps:
            self._kept[position] = pair
        return pair


def network_input(images: Sequence[NDArray[np.uint8]], size: tuple[int, int], device: torch.device | str) -> Tensor:
    """Resize RGB images (H, W, 3) and normalise them as ImageNet-trained networks expect: float32 (N, 3, h, w).

    The memory format is channels-last, as pixels lie in an image. Every network gets its images this way.

    Args:
        images: N of them, of any size.
        size: height and width that the network works at.
        device: to put them on.
    """
    pixels = torch.from_numpy(np.stack([resize_image(image, size) for image in images])).to(device).permute(0, 3, 1, 2)
    mean, std = (torch.tensor(each, device=device).view(3, 1, 1) for each in (IMAGENET_MEAN, IMAGENET_STD))
    return (pixels.float() / 255 - mean) / std


class LabelledFrames(Frames):
    """The labelled frames among some, numbered anew."""

    def __init__(self, dataset: Dataset, frames: Sequence[Frame], size: tuple[int, int]) -> None:
        """Take the labelled ones of `frames` of `dataset`, at `size` = (height, width); nothing is read yet."""
        super().__init__(dataset, [frame for frame in frames if frame.labelled], size)

    def class_counts(self, classes: int) -> Tensor:
        """Count the pixels of each class over all frames, int64 (classes,)."""
        counts = torch.zeros(256, dtype=torch.int64)
        for _, labels in self.batches(COUNTED_AT_ONCE, torch.device("cpu")):
            counts += labels.flatten().bincount(minlength=256)
        return counts[:classes]
