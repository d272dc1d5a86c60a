"""Clips: windows of cached frames, as a head is shown them."""

from collections.abc import Iterable, Iterator
from typing import Final, Literal

import torch
from torch import Tensor

from cache.features import FeatureCache
from cache.rows import Batch
from nas.settings.compute import Compute
from nas.training.candidates.feature_rows import open_rows
from searchspace.modules.cell import Features

LABELS: Final = ("label8", "label")


class Clips:
    """Reads windows out of a feature cache, on the device and in the precision of the computation."""

    def __init__(self, cache: FeatureCache, compute: Compute, budget: Literal["auto"] | float) -> None:
        """Open the rows of `cache`, of which `budget` GiB may be held; `auto` is half of what there is."""
        self.compute = compute
        self._names = tuple(name for name in cache.arrays if name not in LABELS)
        self.sizes = {name: cache.tensor(name).shape[1:] for name in self._names}
        """(channels, height, width) of each feature of a frame."""
        height, width = cache.tensor("label").shape[1:]
        self.image_size = (height, width)
        """Height and width that the static network saw the frames at."""
        self._rows = open_rows(cache, (*self._names, *LABELS), compute.device, budget)

    def batches(self, windows: Iterable[Tensor], *, label: str, of: slice) -> Iterator[Batch]:
        """Yield each batch of windows (N, T) of positions: all features, and the labels of some frames.

        Args:
            windows: batches of windows.
            label: `label8` or `label`.
            of: frames of a window whose labels are read.
        """
        return self._rows.batches(dict.fromkeys(self._names, batch) | {label: batch[:, of]} for batch in windows)

    def frame(self, position: int) -> Features:
        """Read the features of one frame, batch 1."""
        [features] = self.features(self._rows.batch(dict.fromkeys(self._names, torch.tensor([[position]]))))
        return features

    def features(self, batch: Batch) -> list[Features]:
        """Return the features of each frame of a batch, in time order."""
        frames = zip(*(batch[name] for name in self._names), strict=True)
        dtype = self.compute.dtype or torch.float32
        return [{name: rows.to(dtype) for name, rows in zip(self._names, frame, strict=True)} for frame in frames]
