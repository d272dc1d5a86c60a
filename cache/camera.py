"""A camera as a recording that ends when it is unplugged or nobody asks for more."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from cache.errors import DataError
from cache.recording import IMAGE_RATE, Recording


def open_camera(number: int) -> Recording:
    """Start a camera of this machine, of which 0 is the first.

    Raises:
        DataError: there is none of this number, or another program holds it.
    """
    camera = cv2.VideoCapture(number)
    if not camera.isOpened():
        raise DataError(f"there is no camera {number}, or another program holds it; 0 is the first")
    rate = camera.get(cv2.CAP_PROP_FPS)
    return Recording(f"camera{number}", _frames(camera), 0, rate if rate > 0 else IMAGE_RATE)


def _frames(camera: cv2.VideoCapture) -> Iterator[tuple[str, NDArray[np.uint8] | DataError]]:
    number = 0
    try:
        while True:
            there, frame = camera.read()
            if not there:
                return
            yield f"frame_{number:06d}", np.ascontiguousarray(np.asarray(frame, np.uint8)[..., ::-1])
            number += 1
    finally:
        camera.release()
