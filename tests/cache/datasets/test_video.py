"""A video without masks: which frames are learnt from and which scored, whose labels they have, what is refused."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.datasets.catalog import open_dataset
from cache.datasets.clips import clips, meta_split, windows
from cache.datasets.video import BETWEEN, SHORTEST, STRETCH, Video, _parts, _stretches
from cache.errors import DataError

SIZE = (16, 24)


@dataclass
class Halves:
    """A network of two classes: bright pixels, and dark ones."""

    path: Path = Path("halves.pt")
    fingerprint: str = "halves"
    classes: tuple[str, ...] = ("dark", "bright")
    colours: tuple[tuple[int, int, int], ...] = ((0, 0, 0), (255, 255, 255))
    height: int | None = None

    def label(self, image):
        return (image.mean(2) > 127).astype(np.uint8)


def frames_of(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *SIZE, 3), dtype=np.uint8)


@pytest.fixture
def images(tmp_path, put):
    """Write a folder of frames."""

    def write(frames, name="walk"):
        for number, frame in enumerate(frames):
            put(tmp_path / name / f"{number}.png", frame)
        return tmp_path / name

    return write


@pytest.fixture
def film(tmp_path):
    """Write a video file."""

    def write(frames, name="film.mp4"):
        height, width = frames[0].shape[:2]
        writer = cv2.VideoWriter(str(tmp_path / name), cv2.VideoWriter.fourcc(*"mp4v"), 10, (width, height))
        for frame in frames:
            writer.write(frame)
        writer.release()
        return tmp_path / name

    return write


def numbers(frames):
    return [frame.number for frame in frames]


@pytest.mark.parametrize(("count", "learnt", "scored"), [(10, 7, 2), (100, 70, 20), (1000, 770, 200)])
def test_the_end_is_scored_the_start_is_learnt_from_and_what_is_between_is_neither(images, count, learnt, scored):
    files = list(range(count))
    train, val = _parts(files)
    assert (train, val) == (files[:learnt], files[count - scored :])
    assert val[0] - train[-1] - 1 == min(count // 10, BETWEEN)


@given(count=st.integers(1, 4000), share=st.floats(0.001, 1))
def test_a_share_of_a_part_is_stretches_over_all_of_it_in_order(count, share):
    taken = _stretches(range(count), share)
    assert taken == sorted(set(taken))
    assert (taken[0], taken[-1]) == (0, count - 1)
    assert len(taken) <= max(share * count + STRETCH / 2, 2 * STRETCH)
    lengths = np.diff(np.flatnonzero(np.diff([-2, *taken, count + 1]) > 1))
    assert (lengths >= min(STRETCH, count)).all()


def test_a_limit_leaves_stretches_that_windows_do_not_cross(film):
    video = Video(film(frames_of(500)), Halves(), limit=200)
    train = video.frames("train")
    assert len(clips(train)) == 3
    assert all(w.positions[-1] - w.positions[0] == 4 and w.gap == 1 for w in windows(train, 5))
    assert len(train) + len(video.frames("val")) == 250


def test_labels_are_those_of_the_network_at_the_size_that_it_works_at(images):
    frames = frames_of(12)
    whole, half = (Video(images(frames), Halves(height=height)) for height in (None, SIZE[0] // 2))
    assert (whole.size, half.size) == (SIZE, (SIZE[0] // 2, SIZE[1] // 2))
    assert (whole.classes, whole.colours) == (Halves.classes, Halves.colours)
    for frame, pixels in zip(whole.frames("train"), frames, strict=False):
        np.testing.assert_array_equal(whole.image(frame), pixels)
        np.testing.assert_array_equal(whole.label(frame), pixels.mean(2) > 127)
    frame = half.frames("val")[0]
    np.testing.assert_array_equal(half.label(frame), half.image(frame).mean(2) > 127)


def test_files_and_folders_of_frames_lie_side_by_side_and_each_is_cut_by_itself(images, film, tmp_path):
    images(frames_of(10), "a")
    film(frames_of(20), "b.mp4")
    video = Video(tmp_path, Halves())
    assert {f.sequence: f.number for f in video.frames("train")} == {"a": 6, "b.mp4": 13}
    assert numbers(video.frames("val")) == [8, 9, *range(16, 20)]
    assert not {f.name for f in video.frames("train")} & {f.name for f in video.frames("val")}


def test_the_smallest_video_can_be_searched_on(images):
    train = Video(images(frames_of(SHORTEST)), Halves()).frames("train")
    learnt, scored = meta_split(train, 0.2)
    assert windows(train, 3, learnt, unlabelled=True)
    assert len(scored) >= 2


def test_a_fingerprint_knows_frames_and_network(images):
    root = images(frames_of(12))
    first, again, other = (Video(root, Halves(fingerprint=name)) for name in ("one", "one", "two"))
    assert first.fingerprint("train") == again.fingerprint("train") != other.fingerprint("train")
    before = first.fingerprint("val")
    images(frames_of(12, seed=1))
    assert Video(root, Halves(fingerprint="one")).fingerprint("val") != before


def test_a_still_a_short_one_and_nothing_are_refused(images, film, tmp_path):
    with pytest.raises(DataError, match=r"still\.mp4 .* is one still frame, shown 20 times"):
        Video(film(np.repeat(frames_of(1), 20, 0), "still.mp4"), Halves())
    with pytest.raises(DataError, match=r"walk .* has 9 frames, but 10 are needed"):
        Video(images(frames_of(9)), Halves())
    with pytest.raises(DataError, match=r"walk .* has 9 frames, but 12 are needed"):
        Video(images(frames_of(9)), Halves(), window=12)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"holds no video .* and no frames"):
        Video(tmp_path / "empty", Halves())
    with pytest.raises(DataError, match=r"there is no video .*nowhere\.mp4"):
        Video(tmp_path / "nowhere.mp4", Halves())
    with pytest.raises(DataError, match="a video has no test split"):
        Video(images(frames_of(12), "long"), Halves()).frames("test")


def test_a_video_without_a_network_is_answered_with_the_flag(images):
    with pytest.raises(DataError, match="a search takes a trained one by --checkpoint"):
        open_dataset("video", images(frames_of(12)))
