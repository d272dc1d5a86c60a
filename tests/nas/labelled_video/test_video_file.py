import resource

import cv2
import numpy as np
import pytest

from nas.labelled_video.video_file import video_file

SIZE = (48, 64)


def picture(number):
    """A vertical edge that moves with the number, in a colour that is not the same backwards."""
    pixels = np.full((*SIZE, 3), (200, 120, 40), np.uint8)
    pixels[:, : 10 * number + 5] = (20, 60, 220)
    return pixels


def read(path):
    video, frames = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG), []
    while (read := video.read())[0]:
        frames.append(read[1][..., ::-1])
    return frames, video.get(cv2.CAP_PROP_FPS)


def write(path, pictures, codec="mp4v", rate=10.0):
    with video_file(path, SIZE, rate, codec) as append:
        for each in pictures:
            append(each)


@pytest.mark.parametrize("codec", ["mp4v", "vp09"])
@pytest.mark.parametrize("rate", [10.0, 29.97])
def test_five_pictures_come_back_in_order_colour_and_pace(tmp_path, codec, rate):
    path = tmp_path / "new" / "a.mp4"
    write(path, map(picture, range(5)), codec, rate)
    frames, read_rate = read(path)
    assert read_rate == pytest.approx(rate)
    assert [np.abs(frame.astype(int) - picture(number)).mean() < 6 for number, frame in enumerate(frames)] == [True] * 5
    assert list(path.parent.iterdir()) == [path]


def test_a_block_that_fails_leaves_what_was_there(tmp_path):
    def interrupted():
        yield picture(0)
        assert path.read_text() == "earlier"
        raise KeyboardInterrupt

    path = tmp_path / "a.mp4"
    path.write_text("earlier")
    with pytest.raises(KeyboardInterrupt):
        write(path, interrupted())
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_a_codec_that_is_not_there_is_named(tmp_path):
    with pytest.raises(OSError, match=r"cannot write .*a\.mp4: OpenCV has no codec 'nope' for 48x64 pictures"):
        write(tmp_path / "a.mp4", [], codec="nope")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_noticed(tmp_path):
    """OpenCV says nothing of it; a limit on the size of files stands in for the disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    noise = np.random.default_rng(0).integers(0, 256, (40, *SIZE, 3), np.uint8)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError, match=r"frames are missing from it; is the disk full\?"):
            write(tmp_path / "a.mp4", noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []
