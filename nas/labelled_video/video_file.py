"""Pictures as an mp4 that is complete or absent."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from cache.atomic import atomic_path

Codec = Literal["mp4v", "vp09"]


@contextmanager
def video_file(
    path: Path, size: tuple[int, int], rate: float, codec: Codec
) -> Iterator[Callable[[NDArray[np.uint8]], None]]:
    """Yield a function that appends an RGB picture; the video is at `path` if the block ends without an exception.

    Args:
        path: path of the mp4.
        size: height and width of every picture, even numbers.
        rate: pictures a second.
        codec: codec of the video, in four letters.

    Raises:
        OSError: the file cannot be written, the codec is not there or the disk is full.
    """
    written = 0

    def append(picture: NDArray[np.uint8]) -> None:
        nonlocal written
        assert picture.shape == (*size, 3)  # OpenCV drops a picture of another size without a word
        writer.write(np.ascontiguousarray(picture[..., ::-1]))
        written += 1

    with atomic_path(path) as temporary:
        part = temporary.with_suffix(".mp4")  # OpenCV reads the kind of file off its name
        writer = cv2.VideoWriter(str(part), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), rate, size[::-1])
        try:
            if not writer.isOpened():
                wanted = f"no codec {codec!r} for {size[0]}x{size[1]} pictures"
                raise OSError(f"cannot write {path}: OpenCV has {wanted}, or the disk is full")
            yield append
            writer.release()
            if cv2.VideoCapture(str(part), cv2.CAP_FFMPEG).get(cv2.CAP_PROP_FRAME_COUNT) != written:
                raise OSError(f"cannot write {path}: frames are missing from it; is the disk full?")
            part.replace(temporary)
        finally:
            writer.release()
            part.unlink(missing_ok=True)
