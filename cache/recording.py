"""A recording without labels, read one frame at a time: a folder of images, a pattern such as 'clip/*.png', or a video.

Frames are given in order, images in that of the numbers in their names. A frame that cannot be read is given as the
error that says so: whoever asks decides whether to stop there.
"""

import glob
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cache.datasets.frame_names import in_order
from cache.datasets.listing import IMAGE_SUFFIXES, by_stem
from cache.errors import DataError
from cache.images import image_size, read_image
from cache.video import DEFAULT_RATE, decoded, open_video

log = logging.getLogger(__name__)
Pixels = NDArray[np.uint8]
IMAGE_RATE: Final = DEFAULT_RATE
"""Frames a second at which images are shown, which have no rate of their own."""


@dataclass(frozen=True)
class Recording:
    """A video without labels: frames of one size in time order."""

    name: str
    """Name of the file or folder without dots in front, fit for a folder: `...mp4` has the stem `..`."""
    frames: Iterator[tuple[str, Pixels | DataError]]
    """Frames, to be read once: a name of its own and RGB pixels (H, W, 3) or why there are none."""
    count: int
    """Number of frames; what a video announces may be wrong, and is 0 where it announces nothing."""
    rate: float
    """Frames a second."""

    def readable(self, skip: bool) -> Iterator[tuple[str, Pixels]]:
        """Go through the frames that can be read.

        Args:
            skip: leave out the others with a warning, and count them at the end.

        Raises:
            DataError: at the first frame that cannot be read, unless they are skipped; or not one could be.
        """
        given = broken = 0
        for name, pixels in self.frames:
            if not isinstance(pixels, DataError):
                given += 1
                yield name, pixels
            elif skip:
                broken += 1
                log.warning("left out: %s", pixels)
            else:
                raise DataError(f"{pixels}; --on-broken skip goes on without it")
        if not given:
            raise DataError(f"{self.name} holds no frame that can be read")
        if broken:
            log.warning("left out %d of %d frames, which could not be read", broken, given + broken)


def open_recording(source: str) -> Recording:
    """Find the frames of a folder, of a pattern, of one image or of a video file.

    Raises:
        DataError: there is nothing, or it is no video, or the images differ in size or share a name.
    """
    path = Path(source)
    if path.is_dir():
        images = list(by_stem(path, IMAGE_SUFFIXES).values())
        return _of_images(path.resolve().name, images, f"no .png, .jpg or .jpeg in the folder {path}")
    if not path.exists():
        images = [Path(name) for name in sorted(glob.glob(_literal_folder(path), recursive=True))]  # noqa: PTH207
        return _of_images(path.resolve().parent.name, images, f"there is no {source}, and no image of this pattern")
    return _of_images(path.stem, [path], "") if path.suffix.lower() in IMAGE_SUFFIXES else _of_video(path)


def _literal_folder(pattern: Path) -> str:
    """Protect the folders of a pattern that are there, so that `take [1]/*.png` looks into the folder `take [1]`."""
    folder = next(parent for parent in pattern.parents if parent.exists())
    return str(Path(glob.escape(str(folder)), pattern.relative_to(folder)))


def _of_images(name: str, paths: Sequence[Path], if_none: str) -> Recording:
    if not paths:
        raise DataError(f"{if_none}; give a folder of frames, a quoted pattern such as 'clip/*.png' or a video file")
    ordered = in_order(paths)
    _refuse_mixed(ordered)
    return Recording(name.lstrip("."), ((path.stem, _read(path)) for path in ordered), len(ordered), IMAGE_RATE)


def _refuse_mixed(paths: Sequence[Path]) -> None:
    """Raise DataError unless all names and all sizes that can be read fit together, before a long run begins."""
    names: dict[str, Path] = {}
    first: tuple[Path, tuple[int, int]] | None = None
    for path in paths:
        if (twin := names.setdefault(path.stem, path)) != path:
            raise DataError(f"{twin} and {path} are frames of one name; give them in one folder, each with its own")
        try:
            size = image_size(path)
        except DataError:
            continue  # it is told when its turn comes
        first = first or (path, size)
        if size != first[1]:
            there, here = ("{}x{}".format(*each) for each in (first[1], size))
            raise DataError(
                f"{path} has size {here}, but {first[0]} has {there} (height x width); a recording has one size: "
                "segment the others by a pattern of their own"
            )


def _read(path: Path) -> Pixels | DataError:
    try:
        return read_image(path)
    except DataError as error:
        return error


def _of_video(path: Path) -> Recording:
    video = open_video(path)
    frames = ((f"frame_{number:06d}", pixels) for number, pixels in decoded(video))
    return Recording(path.stem.lstrip("."), frames, video.count, video.rate)
