"""A data set whose frames are files and whose labels are PNGs: what CamVid, Cityscapes and folders share.

A subclass says which files there are; reading, checking and fingerprinting are here.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import xxhash
from numpy.typing import NDArray

from cache.cores import usable_cores
from cache.datasets.clips import SPLITS, VOID, Dataset, Frame, Split
from cache.datasets.masks import MaskCode
from cache.errors import DataError
from cache.images import (
    image_size,
    letterbox_image,
    letterbox_label,
    orientation,
    read_image,
    read_mask,
    resize_image,
    resize_label,
)

if TYPE_CHECKING:
    from cache.video import VideoFrames

Fit = Literal["same", "resize", "letterbox"]
WHOLE: Final = 4 * 2**20
"""Number of bytes up to which an image is hashed whole; of a longer one its two ends are. Masks are always."""
_END: Final = 64 * 1024  # bytes


@dataclass(frozen=True)
class FrameFiles:
    """The files of a frame."""

    frame: Frame
    image: Path
    label: Path | None
    """None for a frame that has none."""
    place: int | None = None
    """Number of the frame in the video file `image`; None where that is a picture."""


class FileDataset(ABC):
    """A `Dataset` on disk.

    Args:
        name: the word for it in messages.
        root: the folder that holds the splits.
        colours: one RGB colour a class, for pictures.
        code: classes, and what pixels of masks mean.
        fit: what is done with frames of several sizes: refuse them, or bring them to one.
        size: height and width of all frames; by default those of the first one.
    """

    def __init__(
        self,
        name: str,
        root: Path,
        colours: tuple[tuple[int, int, int], ...],
        code: MaskCode,
        fit: Fit = "same",
        size: tuple[int, int] | None = None,
    ) -> None:
        self.name = name
        self.root = root
        self.classes = code.classes
        self.colours = colours
        self.code = code
        self._fit = fit
        self._size = size
        self._lists: dict[Split, tuple[Frame, ...]] = {}
        self._files: dict[Frame, FrameFiles] = {}
        self._videos: dict[Path, VideoFrames] = {}
        self._digests: dict[Path, tuple[tuple[int, int], bytes]] = {}
        self._listing = threading.RLock()

    @abstractmethod
    def has(self, split: Split) -> bool:
        """Tell whether there is anything of this split."""

    @abstractmethod
    def _find(self, split: Split) -> Iterable[FrameFiles]:
        """List every frame of a split in any order; DataError if the split is absent or files do not match up."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the first frame; every other one is held to it, or brought to it, when it is read."""
        if self._size is None:
            first = next(split for split in SPLITS if self.has(split))
            self._size = self.native_size(self.frames(first)[0])
        return self._size

    def native_size(self, frame: Frame) -> tuple[int, int]:
        """Read height and width of a frame as it is stored, upright. Raises DataError if it cannot be read."""
        files = self._files_of(frame)
        if files.place is None:
            return image_size(files.image)
        height, width, _ = self._stored(files).shape
        return height, width

    def frames(self, split: Split) -> tuple[Frame, ...]:
        with self._listing:
            if split not in self._lists:
                self._lists[split] = self._listed(split)
            return self._lists[split]

    def image(self, frame: Frame) -> NDArray[np.uint8]:
        files = self._files_of(frame)
        image = self._stored(files)
        if image.shape[:2] == self.size:
            return image
        if self._fit == "same":
            raise self._of_another_size(files.image, image.shape)
        return resize_image(image, self.size) if self._fit == "resize" else letterbox_image(image, self.size)

    def label(self, frame: Frame) -> NDArray[np.uint8]:
        files = self._files_of(frame)
        if files.label is None:
            raise DataError(f"frame {frame.name} of {self.name} has no label; leave it out or add its mask")
        mask = read_mask(files.label)
        expected = self.size if self._fit == "same" else self.native_size(frame)
        if mask.pixels.shape[:2] != expected:
            raise DataError(
                f"mask {files.label} has size {_text(mask.pixels.shape)}, but its image has {_text(expected)} "
                f"(height x width); {_why_sizes_differ(files)}"
            )
        label = self.code.decode(mask, files.label)
        if self._fit == "letterbox":
            return letterbox_label(label, self.size, VOID)
        return resize_label(label, self.size)

    def orientations(self, frame: Frame) -> tuple[int, int]:
        """Read the EXIF orientations of a frame's image and of its mask; 1 is upright, and what is not there, too."""
        files = self._files_of(frame)
        image = 1 if files.place is not None else orientation(files.image)
        return image, 1 if files.label is None else orientation(files.label)

    def check_size(self, frame: Frame) -> None:
        """Raise DataError if the head of a frame's image says that `image` would refuse it."""
        files = self._files_of(frame)
        if files.place is None and self._fit == "same" and (size := image_size(files.image)) != self.size:
            raise self._of_another_size(files.image, size)

    def fingerprint(self, split: Split) -> str:
        """Hash names and contents; masks whole, images as far as it tells them apart."""
        return self._fingerprint(split, self.frames(split))

    def labelled_fingerprint(self, split: Split) -> str:
        """Hash the labelled frames alone: all that the static network sees, however many frames lie between them."""
        return self._fingerprint(split, [frame for frame in self.frames(split) if frame.labelled])

    def _fingerprint(self, split: Split, frames: Sequence[Frame]) -> str:
        meaning = (self.name, self.classes, sorted(self.code.values.items()), split, *self._options())
        digest = xxhash.xxh3_128(repr(meaning).encode())
        all_files = [self._files[frame] for frame in frames]
        paths = {files.image: False for files in all_files} | {files.label: True for files in all_files if files.label}
        with ThreadPoolExecutor(min(8, 2 * usable_cores())) as pool:
            digests = dict(zip(paths, pool.map(self._digest, paths, paths.values()), strict=True))
        for files in all_files:
            for path in (files.image, files.label):
                if path is not None:
                    digest.update(f"{files.frame} {path.relative_to(self.root)}\n".encode())
                    digest.update(digests[path])
        return digest.hexdigest()

    def _options(self) -> tuple[object, ...]:
        """Collect what else labels and images depend on, where it is not the default."""
        code, fitted = self.code, (self._fit, self._size)
        coloured = (code.colours, code.void_colour, code.by_colour) if code.reads_colours else ()
        return (*coloured, *(fitted if self._fit != "same" else ()))

    def _digest(self, path: Path, whole: bool) -> bytes:
        try:
            state = path.stat()
            known, digest = self._digests.get(path, ((0, 0), b""))
            if digest and known == (state.st_size, state.st_mtime_ns):
                return digest
            with path.open("rb") as file:
                content = xxhash.xxh3_128(state.st_size.to_bytes(8, "big"))
                if whole or state.st_size <= WHOLE:
                    while chunk := file.read(WHOLE):
                        content.update(chunk)
                else:
                    content.update(file.read(_END))
                    file.seek(-_END, 2)
                    content.update(file.read())
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}; restore the file") from error
        self._digests[path] = (state.st_size, state.st_mtime_ns), content.digest()
        return content.digest()

    def _listed(self, split: Split) -> tuple[Frame, ...]:
        found = sorted(self._find(split), key=lambda files: (files.frame.sequence, files.frame.number))
        if not any(files.frame.labelled for files in found):
            raise DataError(f"{self.name} in {self.root} has no labelled frame in its {split} split; add some")
        for files in found:
            twin = self._files.setdefault(files.frame, files)
            if (twin.image, twin.place) != (files.image, files.place):
                raise DataError(f"{twin.image} and {files.image} are one frame in two splits; keep it in one of them")
        return tuple(files.frame for files in found)

    def _stored(self, files: FrameFiles) -> NDArray[np.uint8]:
        """Read the pixels of a frame at its own size."""
        return read_image(files.image) if files.place is None else self._video(files.image).read(files.place)

    def _video(self, path: Path) -> "VideoFrames":
        from cache.video import VideoFrames  # loads OpenCV, which clips of images do without

        if path not in self._videos:
            self._videos[path] = VideoFrames(path)
        return self._videos[path]

    def _of_another_size(self, path: Path, size: tuple[int, ...]) -> DataError:
        return DataError(
            f"image {path} has size {_text(size)}, but {self.name} has {_text(self.size)} (height x width); "
            f"{self._way_to_one_size()}"
        )

    def _way_to_one_size(self) -> str:
        return "bring all frames of the data set to one size"

    def _files_of(self, frame: Frame) -> FrameFiles:
        if frame not in self._files:  # it may come from a saved list: look through what has not been listed yet
            for split in SPLITS:
                if self.has(split):
                    self.frames(split)
        if frame not in self._files:
            raise ValueError(f"{frame} is no frame of {self.name} in {self.root}")
        return self._files[frame]


def labelled_fingerprint(dataset: Dataset, split: Split) -> str:
    """Hash the labelled frames of a split; of a data set that is no files, the split."""
    return dataset.labelled_fingerprint(split) if isinstance(dataset, FileDataset) else dataset.fingerprint(split)


def _why_sizes_differ(files: FrameFiles) -> str:
    """Name the EXIF tag that turns one of a pair and not the other; else the usual way out."""
    assert files.label is not None
    tags = [(files.label, orientation(files.label))]
    if files.place is None:
        tags.append((files.image, orientation(files.image)))
    turned = [f"{path.name} has the EXIF tag Orientation {tag}" for path, tag in tags if tag != 1]
    if turned:
        return f"{' and '.join(turned)}, by which it is turned upright: save both upright and without the tag"
    return "export the mask at the image's size"


def _text(size: tuple[int, ...]) -> str:
    return f"{size[0]}x{size[1]}"
