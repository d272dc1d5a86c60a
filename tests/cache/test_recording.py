import tracemalloc

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import cache.recording
from cache.datasets.frame_names import in_order
from cache.errors import DataError
from cache.recording import IMAGE_RATE, open_recording
from cache.video import LOST

NOISE = [np.random.default_rng(i).integers(0, 256, (12, 16, 3), np.uint8) for i in range(12)]


@pytest.fixture
def folder(tmp_path):
    """Twelve frames whose names sort otherwise than their numbers: f1 f10 f11 f12 f2 ..."""
    path = tmp_path / "clip"
    path.mkdir()
    for number, pixels in enumerate(NOISE, start=1):
        Image.fromarray(pixels).save(path / f"f{number}.png")
    return path


def write_video(path, frames, codec="MJPG", rate=12.5):
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), rate, frames[0].shape[1::-1])
    assert writer.isOpened()
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()


def coarse(number, size=(48, 64)):
    """A frame of large blocks, which a lossy codec keeps to a few grey levels."""
    return np.kron(NOISE[number][:3, :4], np.ones((size[0] // 3, size[1] // 4, 1), np.uint8))


@pytest.fixture
def video(tmp_path):
    write_video(tmp_path / "drive.avi", [coarse(number) for number in range(6)])
    return tmp_path / "drive.avi"


def damage(path, number):
    """Overwrite the payload of one frame of an AVI, whose header names the stream once before the frames do."""
    data, start = bytearray(path.read_bytes()), 0
    for _ in range(number + 2):
        start = data.index(b"00dc", start) + 4
    length = int.from_bytes(data[start : start + 4], "little")
    data[start + 4 : start + 4 + length] = bytes(length)
    path.write_bytes(data)


def seen(pixels):
    """Which of the coarse frames this is."""
    errors = [np.abs(pixels.astype(int) - coarse(number)).mean() for number in range(len(NOISE))]
    assert min(errors) < 8
    return int(np.argmin(errors))


def test_a_folder_is_read_in_the_order_of_its_numbers(folder):
    (folder / "notes.txt").write_text("no frame")
    recording = open_recording(str(folder))
    assert (recording.name, recording.count, recording.rate) == ("clip", 12, IMAGE_RATE)
    names, frames = zip(*recording.readable(skip=False), strict=True)
    assert names == tuple(f"f{number}" for number in range(1, 13))
    np.testing.assert_array_equal(frames, NOISE)


@given(st.lists(st.integers(0, 10**6), min_size=1, unique=True))
def test_names_sort_as_their_numbers(tmp_path_factory, numbers):
    base = tmp_path_factory.getbasetemp()
    paths = [base / f"cam2_{number}.png" for number in numbers]
    assert [path.stem for path in in_order(paths)] == [f"cam2_{n}" for n in sorted(numbers)]


def test_a_pattern_takes_what_it_matches(folder):
    Image.fromarray(NOISE[0]).save(folder / "f1.bmp")
    assert [name for name, _ in open_recording(f"{folder}/f1?.png").frames] == ["f10", "f11", "f12"]
    [(_, pixels)] = open_recording(f"{folder}/*.bmp").frames
    np.testing.assert_array_equal(pixels, NOISE[0])


def test_one_image_is_a_recording_of_one_frame(folder):
    recording = open_recording(str(folder / "f3.png"))
    assert (recording.name, recording.count) == ("f3", 1)


def test_frames_are_read_when_they_are_asked_for(folder, monkeypatch):
    read = []
    monkeypatch.setattr(cache.recording, "read_image", lambda path: read.append(path.stem) or NOISE[0])
    frames = open_recording(str(folder)).readable(skip=False)
    assert read == []
    next(frames)
    next(frames)
    assert read == ["f1", "f2"]


@pytest.mark.parametrize("kind", ["images", "video"])
def test_memory_does_not_grow_with_the_length(tmp_path, kind):
    size, length = (240, 320), 30
    frames = [coarse(number % 6, size) for number in range(length)]
    if kind == "video":
        write_video(tmp_path / "long.avi", frames)
    else:
        for number, pixels in enumerate(frames):
            Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    del frames
    recording = open_recording(str(tmp_path / "long.avi" if kind == "video" else tmp_path))
    tracemalloc.start()
    assert sum(1 for _ in recording.readable(skip=False)) == length
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * size[0] * size[1] * 3


def test_images_of_two_sizes_are_refused_before_any_is_read(folder):
    Image.new("RGB", (16, 13)).save(folder / "f7.png")
    with pytest.raises(DataError, match=r"f7\.png has size 13x16, but .*f1\.png has 12x16 \(height x width\)"):
        open_recording(str(folder))


def test_images_of_one_name_are_refused(folder):
    (folder / "other").mkdir()
    Image.fromarray(NOISE[0]).save(folder / "other" / "f1.png")
    with pytest.raises(DataError, match=r"clip/f1\.png and .*other/f1\.png are frames of one name"):
        open_recording(f"{folder}/**/*.png")


def test_a_broken_image_stops_what_comes_after_the_frames_before_it(folder):
    (folder / "f3.png").write_bytes((folder / "f3.png").read_bytes()[:60])
    frames = open_recording(str(folder)).readable(skip=False)
    assert [next(frames)[0], next(frames)[0]] == ["f1", "f2"]
    with pytest.raises(DataError, match=r"cannot read the image .*f3\.png.*; --on-broken skip goes on without it"):
        next(frames)


def test_a_broken_image_is_left_out_with_a_warning_and_a_count(folder, caplog):
    (folder / "f3.png").write_bytes((folder / "f3.png").read_bytes()[:60])
    (folder / "f8.png").write_text("no image")
    names = [name for name, _ in open_recording(str(folder)).readable(skip=True)]
    assert names == [f"f{number}" for number in range(1, 13) if number not in (3, 8)]
    first, second, count = caplog.messages
    assert "f3.png" in first
    assert "f8.png" in second
    assert count == "left out 2 of 12 frames, which could not be read"


def test_a_video_is_read_frame_by_frame(video):
    recording = open_recording(str(video))
    assert (recording.name, recording.count, recording.rate) == ("drive", 6, 12.5)
    names, frames = zip(*recording.readable(skip=False), strict=True)
    assert names == tuple(f"frame_00000{number}" for number in range(6))
    assert [seen(frame) for frame in frames] == [0, 1, 2, 3, 4, 5]  # in RGB: swapped channels would be far off


def test_no_name_leads_out_of_the_folder_that_is_called_so(video):
    assert open_recording(str(video.rename(video.with_name("...avi")))).name == ""
    Image.fromarray(NOISE[0]).save(video.with_name("...png"), "PNG")
    assert open_recording(str(video.with_name("...png"))).name == ""


def test_a_broken_frame_in_the_middle_of_a_video_stops_it(video):
    damage(video, 2)
    frames = open_recording(str(video)).readable(skip=False)
    assert [seen(next(frames)[1]), seen(next(frames)[1])] == [0, 1]
    with pytest.raises(DataError, match=r"cannot decode frame 2 of .*drive\.avi; --on-broken skip"):
        next(frames)


def test_broken_frames_in_the_middle_of_a_video_are_left_out_and_the_others_keep_their_numbers(video, caplog):
    damage(video, 2)
    damage(video, 3)
    given = [(name, seen(pixels)) for name, pixels in open_recording(str(video)).readable(skip=True)]
    assert given == [(f"frame_00000{number}", number) for number in (0, 1, 4, 5)]
    assert caplog.messages[-1] == "left out 2 of 6 frames, which could not be read"


def test_a_video_that_was_cut_off_gives_what_there_is_and_says_so(video, caplog):
    data = video.read_bytes()
    video.write_bytes(data[: data.rindex(b"00dc", 0, data.index(b"idx1"))])
    assert [seen(pixels) for _, pixels in open_recording(str(video)).readable(skip=False)] == [0, 1, 2, 3, 4]
    assert caplog.messages == [f"{video} announces 6 frames, but only the first 5 can be read"]


def test_nothing_to_read_is_said(tmp_path, folder):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video")
    for path in folder.iterdir():
        path.write_text("no image")
    (tmp_path / "bare").mkdir()
    for source, message in (
        ("empty.mp4", r"empty\.mp4 is no video that FFmpeg can read"),
        ("text.mp4", r"text\.mp4 is no video that FFmpeg can read"),
        ("bare", r"no \.png, \.jpg or \.jpeg in the folder .*bare; give a folder of frames, a quoted pattern"),
        ("absent.mp4", r"there is no .*absent\.mp4, and no image of this pattern"),
        ("clip/*.tif", r"there is no .*clip/\*\.tif"),
        ("clip", "clip holds no frame that can be read"),
    ):
        with pytest.raises(DataError, match=message):
            list(open_recording(str(tmp_path / source)).readable(skip=True))


@pytest.mark.parametrize("text", ["ffconcat version 1.0\nfile drive.avi\n", "#EXTM3U\n#EXTINF:10,\ndrive.avi\n"])
def test_a_list_that_names_other_files_is_no_video(video, text):
    path = video.with_name("list.mp4")
    path.write_text(text)
    with pytest.raises(DataError, match=r"list\.mp4 is no video"):
        open_recording(str(path))


class Announcing:
    """A capture of three frames that says something about itself."""

    def __init__(self, said):
        self.said, self.left, self.reads = said, 3, 0

    def isOpened(self):  # noqa: N802
        return True

    def get(self, what):
        return {cv2.CAP_PROP_FRAME_WIDTH: 4, cv2.CAP_PROP_FRAME_HEIGHT: 3, cv2.CAP_PROP_FPS: 25, **self.said}.get(
            what, 0
        )

    def read(self):
        self.left, self.reads = self.left - 1, self.reads + 1
        return self.left >= 0, np.zeros((3, 4, 3), np.uint8)


@pytest.mark.parametrize("count", [1e12, 2.0**63, -5.0, 0.0])
@pytest.mark.parametrize(("rate", "expected"), [(float("nan"), IMAGE_RATE), (float("inf"), IMAGE_RATE), (25.0, 25.0)])
def test_what_a_header_announces_costs_no_time_and_no_sense(video, monkeypatch, count, rate, expected):
    capture = Announcing({cv2.CAP_PROP_FRAME_COUNT: count, cv2.CAP_PROP_FPS: rate})
    monkeypatch.setattr(cv2, "VideoCapture", lambda _, api, raw=(): Announcing(capture.said) if raw else capture)
    recording = open_recording(str(video))
    assert recording.rate == expected
    assert len(list(recording.readable(skip=False))) == 3
    assert capture.reads <= 3 + LOST


def test_frames_that_would_fill_the_memory_are_refused(video, monkeypatch):
    capture = Announcing({cv2.CAP_PROP_FRAME_WIDTH: 20_000, cv2.CAP_PROP_FRAME_HEIGHT: 10_000})
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: capture)
    with pytest.raises(DataError, match=r"drive\.avi has frames of 10000x20000 pixels"):
        open_recording(str(video))


@pytest.mark.parametrize("name", ["take [1]", "take?", "a*b"])
def test_a_folder_whose_name_looks_like_a_pattern_is_a_folder(folder, name):
    moved = folder.rename(folder.with_name(name))
    assert open_recording(str(moved)).count == 12
    assert open_recording(f"{moved}/f1?.png").count == 3


def test_frames_are_ordered_as_for_training(tmp_path):
    for name in ("22-52-00", "22-51-59", "22-51-58"):
        Image.fromarray(NOISE[0]).save(tmp_path / f"2021-06-27_{name}.png")
    names = [name for name, _ in open_recording(str(tmp_path)).frames]
    assert names == [f"2021-06-27_{name}" for name in ("22-51-58", "22-51-59", "22-52-00")]
    for name in ("1.10", "1.9", "1.95"):
        Image.fromarray(NOISE[0]).save(tmp_path / f"t{name}.png")
    with pytest.raises(DataError, match="pad them with zeros"):
        open_recording(f"{tmp_path}/t*.png")


def test_phone_pictures_are_segmented_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(NOISE[0]).save(tmp_path / "1.jpg", exif=exif)
    [(_, pixels)] = open_recording(str(tmp_path)).frames
    assert pixels.shape == (16, 12, 3)
