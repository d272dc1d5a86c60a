"""A data set whose frames are image files and whose labels are index PNGs: what CamVid, Cityscapes and folders share.

A subclass says which files there are; reading, checking and fingerprinting are here.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import xxhash
from numpy.typing import NDArray

from cache.datasets.clips import SPLITS, Frame, Split
from cache.errors import DataError
from cache.images import image_size, read_image, read_index

IMAGE_SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg"})
MASK_SUFFIXES: Final = frozenset({".png"})
_HEAD: Final = 64 * 1024  # bytes of a file that enter the fingerprint: enough to tell pictures apart, quick to read


@dataclass(frozen=True)
class FrameFiles:
    """The files of a frame."""

    frame: Frame
    image: Path
    label: Path | None
    """None for a frame that has none."""


class FileDataset(ABC):
    """A `Dataset` on disk.

    Args:
        name: the word for it in messages.
        root: the folder that holds the splits.
        classes: their names.
        colours: one RGB colour a class.
        values: each value a mask may hold, and the class or `VOID` it means.
    """

    unknown_value_advice: ClassVar[str] = "correct the mask"

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
        self._lists: dict[Split, tuple[Frame, ...]] = {}
        self._files: dict[Frame, FrameFiles] = {}
        self._size: tuple[int, int] | None = None

    @abstractmethod
    def has(self, split: Split) -> bool:
        """Tell whether there is anything of this split."""

    @abstractmethod
    def _find(self, split: Split) -> Iterable[FrameFiles]:
        """List every frame of a split in any order; DataError if the split is absent or files do not match up."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the first frame; every other one is held to it when it is read."""
        if self._size is None:
            first = next(split for split in SPLITS if self.has(split))
            self._size = image_size(self._files_of(self.frames(first)[0]).image)
        return self._size

    def frames(self, split: Split) -> tuple[Frame, ...]:
        if split not in self._lists:
            found = sorted(self._find(split), key=lambda files: (files.frame.sequence, files.frame.number))
            if not any(files.label for files in found):
                raise DataError(f"{self.name} in {self.root} has no labelled frame in its {split} split; add some")
            for files in found:
                twin = self._files.setdefault(files.frame, files)
                if twin.image != files.image:
                    raise DataError(
                        f"{twin.image} and {files.image} are one frame in two splits; keep it in one of them"
                    )
            self._lists[split] = tuple(files.frame for files in found)
        return self._lists[split]

    def image(self, frame: Frame) -> NDArray[np.uint8]:
        path = self._files_of(frame).image
        image = read_image(path)
        if image.shape[:2] != self.size:
            raise DataError(
                f"image {path} has size {_text(image.shape)}, but {self.name} has {_text(self.size)} (height x width); "
                "bring all frames of the data set to one size"
            )
        return image

    def label(self, frame: Frame) -> NDArray[np.uint8]:
        path = self._files_of(frame).label
        if path is None:
            raise DataError(f"frame {frame.name} of {self.name} has no label; leave it out or add its mask")
        index = read_index(path)
        if index.shape != self.size:
            raise DataError(
                f"mask {path} has size {_text(index.shape)}, but its image has {_text(self.size)} (height x width); "
                "export the mask at the image's size"
            )
        return self._classes_of(index, path)

    def fingerprint(self, split: Split) -> str:
        meaning = (self.name, self.classes, sorted(self._values.items()), split)
        digest = xxhash.xxh3_128(repr(meaning).encode())
        for frame in self.frames(split):
            files = self._files[frame]
            for path in (files.image, files.label):
                if path is not None:
                    digest.update(f"{frame} {path.relative_to(self.root)} {path.stat().st_size}\n".encode())
                    with path.open("rb") as file:
                        digest.update(file.read(_HEAD))
        return digest.hexdigest()

    def _classes_of(self, index: NDArray[np.int32], path: Path) -> NDArray[np.uint8]:
        known = np.isin(index, list(self._values))
        if not known.all():
            y, x = np.argwhere(~known)[0]
            raise DataError(
                f"mask {path} holds the value {index[y, x]} at row {y}, column {x}, but a mask of {self.name} holds "
                f"only {', '.join(map(str, sorted(self._values)))}; {self.unknown_value_advice}"
            )
        table = np.zeros(max(self._values) + 1, np.uint8)
        table[list(self._values)] = list(self._values.values())
        return table[index]

    def _files_of(self, frame: Frame) -> FrameFiles:
        if frame not in self._files:  # it may come from a saved list: look through what has not been listed yet
            for split in SPLITS:
                if self.has(split):
                    self.frames(split)
        if frame not in self._files:
            raise ValueError(f"{frame} is no frame of {self.name} in {self.root}")
        return self._files[frame]


def by_stem(folder: Path, suffixes: frozenset[str]) -> dict[str, Path]:
    """List the visible files of a folder with one of these suffixes, by name without suffix.

    Raises:
        DataError: the folder is missing or cannot be read, or two files differ only in their suffix.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.name[0] != ".")
    except OSError as error:
        raise DataError(f"cannot list the folder {folder}: {error.strerror}; check the data set's layout") from error
    found: dict[str, Path] = {}
    for path in paths:
        if path.stem in found:
            raise DataError(f"{found[path.stem]} and {path} are the same frame; remove one of them")
        found[path.stem] = path
    return found


def _text(size: tuple[int, ...]) -> str:
    return f"{size[0]}x{size[1]}"
