"""Checks on the look at labels and windows before a training."""

import logging

import numpy as np
import pytest

from cache.datasets.census import Census
from cache.datasets.clips import Frame, windows
from cache.datasets.shapes import Shapes
from cache.errors import DataError
from nas.training.labels import check_labels, check_windows, label_weights

FRAMES = tuple(Frame(f"a{n}", "a", n, labelled=n != 1) for n in range(6))


def census(*rows):
    return Census("train", FRAMES, np.array(rows, np.int64), 0)


def test_every_split_says_what_it_has(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    check_labels(Shapes(), tmp_path)
    assert caplog.messages == [
        "train: 240 frames, 240 labelled, 24 clips",
        "val: 60 frames, 60 labelled, 6 clips",
    ]
    assert len(list((tmp_path / "census").iterdir())) == 2


def test_windows_are_told_of_by_length_and_short_ones_are_a_warning(caplog):
    caplog.set_level(logging.INFO)
    check_windows(windows(FRAMES, 3), 3, "meta-train part", Shapes())
    check_windows(windows(FRAMES[:3], 5), 5, "meta-val part", Shapes())
    said = [message for message in caplog.messages if "learnt by heart" not in message]
    assert said[:2] == [
        "meta-train part: 4 windows of 3 frames, [1] video frames apart",
        "meta-val part: 1 window of 3 frames, [1] video frames apart",
    ]
    assert said[2].startswith("meta-val part: 1 of 1 windows are shorter than 5 frames")


@pytest.mark.parametrize(("count", "told"), [(1, True), (7, True), (8, False)])
def test_so_few_windows_that_they_are_learnt_by_heart_are_a_warning(count, told, caplog):
    check_windows((windows(FRAMES, 2) * 8)[:count], 2, "training list", Shapes())
    assert ["learnt by heart" in message for message in caplog.messages] == [True] * told


def test_the_rule_of_windows_and_what_helps_are_said():
    with pytest.raises(DataError, match=r"only the last frame of a window needs a label; .*--meta-val"):
        check_windows([], 3, "meta-val part", Shapes())


def test_a_part_whose_last_frames_are_void_is_refused():
    rows = [[4, 4, 0, 0, 0, 0, 0]] * 4 + [[0, 0, 0, 0, 0, 0, 8]] * 2
    found = windows(FRAMES, 3)
    check_windows(found, 3, "meta-train part", Shapes(), census(*rows))
    with pytest.raises(DataError, match="the meta-val part holds no class at all"):
        check_windows(found[-2:], 3, "meta-val part", Shapes(), census(*rows))


def test_classes_that_no_window_ends_in_are_named(caplog):
    rows = [[4, 4, 1, 0, 0, 0, 0]] * 5 + [[4, 4, 0, 0, 0, 0, 0]]
    found = windows(FRAMES, 3)
    check_windows(found, 3, "meta-train part", Shapes(), census(*rows))
    assert not [message for message in caplog.messages if "no window ends" in message]
    check_windows(found[-1:], 3, "meta-val part", Shapes(), census(*rows))
    assert "meta-val part: no window ends in a frame with square, which therefore does not count there" in (
        caplog.messages
    )


def test_classes_are_weighed_by_their_pixels_at_the_places_that_are_learnt_from():
    pixels = np.random.default_rng(0).integers(0, 99, (6, 7))
    weights = label_weights(census(*pixels), {0, 1, 2, 3}).tolist()
    shares = [pixels[:4, k].sum() / pixels[:4, :6].sum() for k in range(6)]
    assert weights == pytest.approx([1 / np.log(1.02 + share) for share in shares])
