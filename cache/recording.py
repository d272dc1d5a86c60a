"""A recording without labels, read one frame at a time: a folder of images, a pattern such as 'clip/*.png', or a video.

Frames are given in order, images in that of the numbers in their names. A frame that cannot be read is given as the
error that says so: whoever asks decides whether to stop there.
"""

import glob
import logging
import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from cache.datasets.files import IMAGE_SUFFIXES, by_stem
from cache.errors import DataError
from cache.images import image_size, read_image, resize_image

log = logging.getLogger(__name__)
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # FFmpeg and OpenCV would tell of damage in their own words
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
CONTAINERS: Final = "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,m4v,h264,hevc,mxf,dv,gif,yuv4mpegpipe"
"""Video files in themselves: FFmpeg also knows lists, which name other files and addresses to read."""
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", f"protocol_whitelist;file|format_whitelist;{CONTAINERS}")

Pixels = NDArray[np.uint8]
IMAGE_RATE: Final = 10.0
"""Frames a second at which images are shown, which have no rate of their own."""
LOST: Final = 1000
"""Number of frames in a row that cannot be decoded and are taken for the end, whatever length a video announces."""
LARGEST: Final = 2**27  # pixels of a video's frame: 400 MB in RGB; 8K has 2**25


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
        images = [Path(name) for name in sorted(glob.glob(source, recursive=True))]  # noqa: PTH207 - may be absolute
        return _of_images(path.resolve().parent.name, images, f"there is no {source}, and no image of this pattern")
    return _of_images(path.stem, [path], "") if path.suffix.lower() in IMAGE_SUFFIXES else _of_video(path)


def _of_images(name: str, paths: Sequence[Path], if_none: str) -> Recording:
    if not paths:
        raise DataError(f"{if_none}; give a folder of frames, a quoted pattern such as 'clip/*.png' or a video file")
    ordered = sorted(paths, key=_numbers_as_numbers)
    _refuse_mixed(ordered)
    return Recording(name.lstrip("."), ((path.stem, _read(path)) for path in ordered), len(ordered), IMAGE_RATE)


def _numbers_as_numbers(path: Path) -> list[tuple[str, int]]:
    """Split a path so that frame_2 sorts before frame_10."""
    return [(text, int(digits or 0)) for text, digits in re.findall(r"([^0-9]*)([0-9]*)", str(path))]


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
    video = cv2.VideoCapture(str(path.resolve()), cv2.CAP_FFMPEG)  # no name that starts as an address does
    if not video.isOpened():
        raise DataError(f"{path} is no video that FFmpeg can read, or it is empty or cut off; re-encode it as mp4")
    width, height = video.get(cv2.CAP_PROP_FRAME_WIDTH), video.get(cv2.CAP_PROP_FRAME_HEIGHT)
    if width * height > LARGEST:
        raise DataError(f"{path} has frames of {height:.0f}x{width:.0f} pixels; scale it down")
    count, rate = max(0, int(video.get(cv2.CAP_PROP_FRAME_COUNT))), video.get(cv2.CAP_PROP_FPS)
    frames, rate = _decoded(path, video, count), rate if 0 < rate < math.inf else IMAGE_RATE
    return Recording(path.stem.lstrip("."), frames, count, rate)


def _decoded(path: Path, video: cv2.VideoCapture, count: int) -> Iterator[tuple[str, Pixels | DataError]]:
    """Decode the frames of a video, at the size of the first one.

    A failed read is a damaged frame if a later one succeeds, else the end. Where the end comes too early it is told,
    and is no error, as many containers only estimate their length.
    """
    number = failed = 0
    size: tuple[int, int] | None = None
    while failed == 0 or (number + failed < count and failed < LOST):
        there, frame = video.read()
        if not there:
            failed += 1
            continue
        for _ in range(failed):
            yield _name(number), DataError(f"cannot decode frame {number} of {path}")
            number += 1
        pixels = np.ascontiguousarray(np.asarray(frame, np.uint8)[..., ::-1])
        size = size or (pixels.shape[0], pixels.shape[1])
        yield _name(number), resize_image(pixels, size)
        number, failed = number + 1, 0
    if number < count:
        log.warning("%s announces %d frames, but only the first %d can be read", path, count, number)


def _name(number: int) -> str:
    return f"frame_{number:06d}"
