"""A data set whose frames are image files and whose labels are index PNGs: what CamVid, Cityscapes and folders share.

A subclass says which files there are; reading, checking and fingerprinting are here.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from cache.datasets.clips import SPLITS, VOID, Frame, Split
from cache.errors import DataError
from cache.images import image_size, read_image, read_index

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
_HEAD = 64 * 1024  # bytes of a file that enter the fingerprint: enough to tell pictures apart, quick on a cold disk


@dataclass(frozen=True)
class FrameFiles:
    """Where a frame lies."""

    frame: Frame
    image: Path
    label: Path | None


class FileDataset(ABC):
    """A `Dataset` on disk; `values` maps each value a mask may hold to a class or to `VOID`."""

    def __init__(
        self,
        name: str,
        root: Path,
        classes: tuple[str, ...],
        colours: tuple[tuple[int, int, int], ...],
        values: Mapping[int, int],
    ) -> None:
        self.name = name
        self.root = root
        self.classes = classes
        self.colours = colours
        self._values = dict(values)
        self._table = np.full(max(values) + 1, -1, np.int32)
        for value, meaning in values.items():
            self._table[value] = meaning
        self._splits: dict[Split, tuple[FrameFiles, ...]] = {}
        self._size: tuple[int, int] | None = None

    @abstractmethod
    def _find(self, split: Split) -> Iterable[FrameFiles]:
        """Every frame of a split in any order; DataError if the split is absent or files do not match up."""

    @abstractmethod
    def _has(self, split: Split) -> bool:
        """Whether there is anything of this split."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the first frame; every other frame is held to it when it is read."""
        if self._size is None:
            first = next(split for split in SPLITS if self._has(split))
            self._size = image_size(self._listed(first)[0].image)
        return self._size

    def frames(self, split: Split) -> tuple[Frame, ...]:
        return tuple(files.frame for files in self._listed(split))

    def image(self, frame: Frame) -> NDArray[np.uint8]:
        path = self._files(frame).image
        image = read_image(path)
        if image.shape[:2] != self.size:
            raise DataError(
                f"image {path} has size {_text(image.shape)}, but {self.name} has {_text(self.size)} (height x width); "
                "bring all frames of the data set to one size"
            )
        return image

    def label(self, frame: Frame) -> NDArray[np.uint8]:
        path = self._files(frame).label
        if path is None:
            raise DataError(f"frame {frame.name} of {self.name} has no label; leave it out or add its mask")
        index = read_index(path)
        if index.shape != self.size:
            raise DataError(
                f"mask {path} has size {_text(index.shape)}, but its image has {_text(self.size)} (height x width); "
                "export the mask at the image's size"
            )
        known = (index >= 0) & (index < len(self._table))
        label = np.where(known, self._table[np.where(known, index, 0)], -1)
        if (label < 0).any():
            y, x = np.argwhere(label < 0)[0]
            raise DataError(
                f"mask {path} holds the value {index[y, x]} at row {y}, column {x}, but {self.name} knows only "
                f"{_ranges(self._values)}; {self._advice}"
            )
        return label.astype(np.uint8)

    _advice = "correct the mask"

    def fingerprint(self, split: Split) -> str:
        digest = xxhash.xxh3_128(repr((self.name, self.classes, sorted(self._values.items()), split)).encode())
        for files in self._listed(split):
            for path in (files.image, files.label):
                if path is not None:
                    digest.update(f"{files.frame}\n{path.relative_to(self.root)}\n{path.stat().st_size}\n".encode())
                    with path.open("rb") as file:
                        digest.update(file.read(_HEAD))
        return digest.hexdigest()

    def _listed(self, split: Split) -> tuple[FrameFiles, ...]:
        if split not in self._splits:
            found = sorted(self._find(split), key=lambda files: (files.frame.sequence, files.frame.number))
            if not found:
                raise DataError(f"the {split} split of {self.name} in {self.root} has no frames; check the folder")
            self._splits[split] = tuple(found)
        return self._splits[split]

    def _files(self, frame: Frame) -> FrameFiles:
        for split in SPLITS:
            if self._has(split):
                for files in self._listed(split):
                    if files.frame == frame:
                        return files
        raise ValueError(f"{frame} is no frame of {self.name} in {self.root}")
