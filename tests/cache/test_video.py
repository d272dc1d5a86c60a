"""Checks that frames of a video keep their numbers whatever is lost of it."""

import cv2
import numpy as np
import pytest

from cache.errors import DataError
from cache.video import VideoFrames, decoded, open_video

COUNT = 20


@pytest.fixture
def write(tmp_path):
    """Write a video of frames in greys of their own, whose container may announce its length or not."""

    def write(name, codec="MJPG", count=COUNT, rate=10):
        path = tmp_path / name
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), rate, (32, 16))
        assert writer.isOpened()
        for number in range(count):
            writer.write(np.full((16, 32, 3), 10 * number, np.uint8))
        writer.release()
        return path

    return write


def numbers(path):
    """Numbers of the frames that could be read, and of those that could not; each frame must be itself."""
    read, broken = [], []
    for number, pixels in decoded(open_video(path)):
        if isinstance(pixels, DataError):
            broken.append(number)
        else:
            assert abs(pixels.mean() - 10 * number) < 4, number
            read.append(number)
    return read, broken


def clusters_removed(content, first, last):
    """A Matroska file without some of its frames: their blocks become space that is skipped."""
    data, blocks, start = bytearray(content), [], 0
    while (start := data.find(b"\xff\xd8\xff", start)) >= 0:  # each frame is a JPEG
        blocks.append(start)
        start += 3
    for place in blocks[first : last + 1]:
        end = data.index(b"\xff\xd9", place) + 2
        head = place - 4  # track number, two bytes of time, flags
        size = head - 1
        while data[size - 1] not in (0xA3, 0xA1):
            size -= 1
        data[size - 1] = 0xEC  # a void element of the same size
        assert end
    return bytes(data)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "mp4v"), ("a.avi", "MJPG"), ("a.mkv", "MJPG"), ("a.webm", "VP80")]
)
def test_a_whole_video_is_read_frame_by_frame(write, name, codec):
    path = write(name, codec)
    assert open_video(path).count == COUNT
    assert numbers(path) == (list(range(COUNT)), [])


def test_frames_after_a_hole_keep_their_numbers_and_the_hole_is_broken_frames(write):
    path = write("a.mkv")
    path.write_bytes(clusters_removed(path.read_bytes(), 7, 9))
    read, broken = numbers(path)
    assert broken == [7, 8, 9]
    assert read == [*range(7), *range(10, COUNT)]


def test_frames_are_read_by_number_from_anywhere(write):
    path = write("a.mp4", "mp4v")
    frames = VideoFrames(path)
    assert len(frames) == COUNT
    for number in (19, 0, 7, 8, 3):
        assert abs(frames.read(number).mean() - 10 * number) < 4


def test_a_lost_frame_cannot_be_read_by_number_and_its_neighbours_can(write):
    path = write("a.mkv")
    path.write_bytes(clusters_removed(path.read_bytes(), 7, 7))
    frames = VideoFrames(path)
    with pytest.raises(DataError, match=r"cannot decode frame 7 of .*a\.mkv"):
        frames.read(7)
    for number in (6, 8):
        assert abs(frames.read(number).mean() - 10 * number) < 4


class Stamped:
    """A capture, or the packets of one, with frames at given times in milliseconds."""

    def __init__(self, times, announced=0):
        self.times, self.announced, self.place = times, announced, -1

    def isOpened(self):  # noqa: N802
        return True

    def get(self, what):
        inside = 0 <= self.place < len(self.times)
        known = {cv2.CAP_PROP_FRAME_WIDTH: 4, cv2.CAP_PROP_FRAME_HEIGHT: 3, cv2.CAP_PROP_FPS: 30}
        known[cv2.CAP_PROP_FRAME_COUNT] = self.announced
        known[cv2.CAP_PROP_POS_MSEC] = self.times[self.place] if inside else 0
        return known.get(what, 0)

    def read(self):
        self.place += 1
        return self.place < len(self.times) and self.times[self.place] is not None, np.zeros((3, 4, 3), np.uint8)


@pytest.fixture
def video(tmp_path, monkeypatch):
    """A video of given times of packets and of decoded frames."""

    def video(packets, frames=None, announced=0):
        (tmp_path / "a.mp4").touch()
        chosen = packets if frames is None else frames
        monkeypatch.setattr(cv2, "VideoCapture", lambda _, api, raw=(): Stamped(packets if raw else chosen, announced))
        return open_video(tmp_path / "a.mp4")

    return video


def outcome(video):
    return [-number if isinstance(pixels, DataError) else number for number, pixels in decoded(video)]


def test_packets_that_cannot_be_decoded_are_broken_frames(video):
    assert outcome(video([0, 100, 200, 300, 400], [0, 100, 300, 400])) == [0, 1, -2, 3, 4]


def test_a_gap_is_a_hole_where_no_length_is_announced(video):
    assert outcome(video([0, 40, 80, 200, 240])) == [0, 1, 2, -3, -4, 5, 6]


def test_a_gap_is_meant_where_all_announced_frames_are_there(video):
    """Cameras leave out frames in the dark."""
    assert outcome(video([0, 40, 80, 200, 240], announced=5)) == [0, 1, 2, 3, 4]


def test_a_varying_rate_is_told_of_and_no_frame_is_lost(video, caplog):
    assert outcome(video([0, 33, 90, 110, 200], announced=5)) == [0, 1, 2, 3, 4]
    assert "has a varying frame rate, 20 to 90 ms between frames" in caplog.text


def test_packets_that_show_nothing_are_no_frames(video):
    assert outcome(video([0, 40, 80, 81, 120], [0, 40, 80, 120])) == [0, 1, 2, 3]


def test_frames_without_time_stamps_are_numbered_as_they_come_and_it_is_said(video, caplog):
    assert outcome(video([0, 0, 0, 0])) == [0, 1, 2, 3]
    assert "has no time stamps" in caplog.text


def test_a_read_that_fails_is_not_the_end(video):
    assert outcome(video([0, 100, 200, 300, 400], [0, 100, None, 300, 400])) == [0, 1, -2, 3, 4]


def test_frames_that_stop_too_early_are_told_of(video, caplog):
    assert outcome(video([0, 40, 80, 120], [0, 40])) == [0, 1]
    assert "announces 4 frames, but only the first 2 can be read" in caplog.text


def test_a_stamp_out_of_all_proportion_makes_no_frames(video):
    assert outcome(video([0, 40, 80, 4e13, 4e13 + 40])) == [0, 1, 2, 3, 4]
