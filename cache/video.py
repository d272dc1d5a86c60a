"""Video files: their frames in order or one by one, numbered by their time stamps.

A frame's number is its place among all frames that the file holds or should hold, counted from 0: one that is damaged
or lost keeps its place, and the frames after it keep their numbers. Files without time stamps number what they give.
"""

import bisect
import logging
import math
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from cache.errors import DataError
from cache.images import resize_image

log = logging.getLogger(__name__)
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # FFmpeg and OpenCV would tell of damage in their own words
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
CONTAINERS: Final = "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,m4v,h264,hevc,mxf,dv,gif,yuv4mpegpipe"
"""Video files in themselves: FFmpeg also knows lists, which name other files and addresses to read."""
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", f"protocol_whitelist;file|format_whitelist;{CONTAINERS}")

Pixels = NDArray[np.uint8]
VIDEO_SUFFIXES: Final = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mpg", ".mpeg", ".m4v", ".wmv"})
DEFAULT_RATE: Final = 10.0
"""Frames a second of what has no rate of its own."""
LOST: Final = 1000
"""Number of reads in a row that fail and are taken for the end, whatever length a video announces."""
LARGEST: Final = 2**27  # pixels of a video's frame: 400 MB in RGB; 8K has 2**25
STEADY: Final = 0.25  # of the usual time between frames: what a gap may be off a whole number of them
NEAR: Final = 64  # frames ahead that are decoded rather than sought


@dataclass(frozen=True)
class Video:
    """Facts of a video file that are known before its frames are decoded."""

    path: Path
    rate: float
    """Frames a second, the mean where it varies."""
    times: tuple[float, ...]
    """Time in milliseconds of each frame that there is or should be, in order; empty where the file has no stamps."""
    announced: int
    """Number of frames that the header announces, 0 where it announces nothing."""

    @property
    def count(self) -> int:
        """Number of frames, as well as it is known; 0 where it is not."""
        return len(self.times) or self.announced


def open_video(path: Path) -> Video:
    """Read the header of a video file and the time stamps of its frames.

    Raises:
        DataError: it is no video that can be read, or its frames would fill the memory.
    """
    capture = _capture(path, cv2.CAP_PROP_FORMAT, -1)  # packets as they are: nothing is decoded to look at them
    width, height = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
    if width * height > LARGEST:
        raise DataError(f"{path} has frames of {height:.0f}x{width:.0f} pixels; scale it down")
    announced, rate = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
    announced = int(announced) if 0 < announced < math.inf else 0
    stamps = _stamps(capture)
    if not stamps:
        log.warning("%s has no time stamps, so frames that were lost in it cannot be told and do not count", path)
    complete = len(stamps) == announced  # then every gap is meant; else a long one is where frames were lost
    _tell_of_varying_rate(path, stamps, rate)
    times = tuple(stamps) if complete else tuple(_filled(stamps))
    return Video(path, rate if 0 < rate < math.inf else DEFAULT_RATE, times, announced)


def decoded(video: Video) -> Iterator[tuple[int, Pixels | DataError]]:
    """Decode the frames of a video in order, at the size of the first one: number, and pixels or why there are none.

    Where the end comes too early it is told, and is no error, as many containers only estimate their length.
    """
    capture, number, failed = _capture(video.path), 0, 0
    size: tuple[int, int] | None = None
    while failed < LOST:
        there, frame = capture.read()
        if not there:
            failed += 1
            continue
        place = _place(video, capture, number, failed)
        for lost in range(number, place):
            yield lost, DataError(f"cannot decode frame {lost} of {video.path}")
        pixels = _rgb(frame)
        size = size or (pixels.shape[0], pixels.shape[1])
        yield place, resize_image(pixels, size)
        number, failed = place + 1, 0
    if number < (count := max(len(video.times), video.announced)):
        log.warning("%s announces %d frames, but only the first %d can be read", video.path, count, number)


class VideoFrames:
    """Frames of a video file by their numbers, from any thread."""

    def __init__(self, path: Path) -> None:
        """Read the header and the time stamps. Raises DataError as `open_video` does, or if there are no stamps."""
        self.video = open_video(path)
        if not self.video.times:
            raise DataError(f"{path} has no time stamps, so its frames cannot be told apart; re-encode it as mp4")
        self._lock = threading.Lock()
        self._capture: cv2.VideoCapture | None = None
        self._next = 0

    def __len__(self) -> int:
        return len(self.video.times)

    def read(self, number: int) -> Pixels:
        """Decode one frame, RGB (H, W, 3). Raises DataError if it cannot be decoded."""
        with self._lock:
            if self._capture is None or not self._next <= number <= self._next + NEAR:
                self._seek(number)
            pixels = self._forward(number)
            if pixels is None and number:  # a seek may land behind the frame
                self._capture, self._next = _capture(self.video.path), 0
                pixels = self._forward(number)
        if pixels is None:
            raise DataError(f"cannot decode frame {number} of {self.video.path}")
        return pixels

    def _seek(self, number: int) -> None:
        self._capture, self._next = _capture(self.video.path), 0
        if number > NEAR:
            start = number - NEAR // 2
            self._capture.set(cv2.CAP_PROP_POS_MSEC, self.video.times[start])
            self._next = start  # told by the stamps as soon as a frame is read

    def _forward(self, number: int) -> Pixels | None:
        """Decode up to a frame; None if it is not there or lies behind."""
        assert self._capture is not None
        for _ in range(LOST):
            if not self._capture.grab():
                continue
            place = _nearest(self.video.times, self._capture.get(cv2.CAP_PROP_POS_MSEC))
            self._next = place + 1
            if place >= number:
                there, frame = self._capture.retrieve()
                return _rgb(frame) if there and place == number else None
        return None


def _capture(path: Path, *options: int) -> cv2.VideoCapture:
    arguments = (str(path.resolve()), cv2.CAP_FFMPEG)  # resolved: no name that starts as an address does
    capture = cv2.VideoCapture(*arguments, options) if options else cv2.VideoCapture(*arguments)
    if not capture.isOpened():
        raise DataError(f"{path} is no video that FFmpeg can read, or it is empty or cut off; re-encode it as mp4")
    return capture


def _rgb(frame: object) -> Pixels:
    return np.ascontiguousarray(np.asarray(frame, np.uint8)[..., ::-1])


def _stamps(capture: cv2.VideoCapture) -> list[float]:
    """Read the times in milliseconds of all packets, in order, without decoding them; none where they say nothing."""
    stamps: list[float] = []
    failed = 0
    while failed < LOST:
        failed = 0 if capture.read()[0] else failed + 1
        if not failed:
            stamps.append(capture.get(cv2.CAP_PROP_POS_MSEC))
    stamps.sort()
    if len(stamps) < 2 or not all(math.isfinite(stamp) for stamp in stamps):
        return []
    usual = _usual(stamps)
    apart = [stamp for stamp, following in pairwise([*stamps, math.inf]) if following - stamp > STEADY * usual]
    return apart if usual > 0 else []  # two at one time are one frame: some codecs have packets that show nothing


def _usual(stamps: Sequence[float]) -> float:
    return median(following - stamp for stamp, following in pairwise(stamps))


def _steps(stamps: Sequence[float]) -> list[int] | None:
    """Count the usual gaps from each stamp to the next; None where gaps are no such numbers, or past belief."""
    usual = _usual(stamps)
    gaps = [(following - stamp) / usual for stamp, following in pairwise(stamps)]
    steady = all(abs(gap - round(gap)) <= STEADY and 1 <= round(gap) <= LOST for gap in gaps)
    return [round(gap) for gap in gaps] if steady else None


def _filled(stamps: Sequence[float]) -> Iterator[float]:
    """Add the times of lost frames, where frames come at a steady rate."""
    steps = _steps(stamps) if len(stamps) > 1 else None
    for stamp, following, step in zip(stamps, stamps[1:], steps or [1] * len(stamps), strict=False):
        yield from (stamp + (following - stamp) * part / step for part in range(step))
    yield from stamps[-1:]


def _tell_of_varying_rate(path: Path, stamps: Sequence[float], rate: float) -> None:
    if len(stamps) > 2 and _steps(stamps) is None:
        gaps = [following - stamp for stamp, following in pairwise(stamps)]
        log.warning(
            "%s has a varying frame rate, %.0f to %.0f ms between frames: they are taken one after the other, and what "
            "is written has the mean rate %.2f",
            *(path, min(gaps), max(gaps), rate),
        )


def _place(video: Video, capture: cv2.VideoCapture, number: int, failed: int) -> int:
    """Number the frame that was just decoded, `number` or a later one."""
    if not video.times:
        return number + failed
    return max(number, _nearest(video.times, capture.get(cv2.CAP_PROP_POS_MSEC)))


def _nearest(times: Sequence[float], time: float) -> int:
    after = bisect.bisect_left(times, time)
    return min((place for place in (after - 1, after) if 0 <= place < len(times)), key=lambda p: abs(times[p] - time))
