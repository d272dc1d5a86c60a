"""Labelled frames of a data set at the working resolution, as batches of tensors."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cache.datasets.clips import Dataset, Frame
from cache.images import IMAGENET_MEAN, IMAGENET_STD, resize_image, resize_label

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]
KEPT_BYTES: Final = 4 * 2**30  # all of CamVid, not Cityscapes: a larger list is read again for every batch


class LabelledFrames:
    """Frames by position. A list that fits in memory is decoded once, on first use."""

    def __init__(self, dataset: Dataset, frames: Sequence[Frame], size: tuple[int, int]) -> None:
        """Take the labelled ones of `frames` of `dataset`, at `size` = (height, width); nothing is read yet."""
        self._dataset, self._size = dataset, size
        self._frames = [frame for frame in frames if frame.labelled]
        self._keeps = len(self._frames) * size[0] * size[1] * 4 <= KEPT_BYTES
        self._kept: dict[int, Pair] = {}
        self._pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="decode")

    def __len__(self) -> int:
        return len(self._frames)

    def batch(self, positions: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
        """Normalised images, float32 (N, 3, H, W) channels-last, and labels, uint8 (N, H, W).

        Raises:
            DataError: a frame or its label cannot be read.
        """
        images, labels = zip(*self._pool.map(self._pair, positions), strict=True)
        pixels = torch.from_numpy(np.stack(images)).to(device).permute(0, 3, 1, 2)
        mean, std = (torch.tensor(each, device=device).view(3, 1, 1) for each in (IMAGENET_MEAN, IMAGENET_STD))
        return (pixels.float() / 255 - mean) / std, torch.from_numpy(np.stack(labels)).to(device)

    def batches(self, size: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
        """All frames in order, `size` at a time."""
        for start in range(0, len(self), size):
            yield self.batch(range(start, min(start + size, len(self))), device)

    def _pair(self, position: int) -> Pair:
        if position in self._kept:
            return self._kept[position]
        frame = self._frames[position]
        image, label = self._dataset.image(frame), self._dataset.label(frame)
        pair = resize_image(image, self._size), resize_label(label, self._size)
        if self._keeps:
            self._kept[position] = pair
        return pair
