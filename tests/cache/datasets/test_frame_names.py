"""Checks on the time order and the numbers of frames, read off the names of files."""

import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.datasets.clips import Frame, clips
from cache.datasets.frame_names import RATE, in_order, numbered
from cache.errors import DataError

HERE = Path("clip")


def files(*stems):
    return [HERE / f"{stem}.png" for stem in stems]


def stems(*names):
    """The names in time order, after both functions agreed on it."""
    ordered = [path.stem for path in in_order(files(*names))]
    assert [path.stem for _, path in numbered(files(*names))] == ordered
    return ordered


def numbers(*names):
    return [number for number, _ in numbered(files(*names))]


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=20, unique=True))
def test_one_number_that_varies_is_the_frame_number(values):
    names = [f"cam2_{value}_left" for value in values]
    if len(values) > 1:
        assert numbers(*names) == sorted(values)
    assert stems(*names) == [f"cam2_{value}_left" for value in sorted(values)]


@given(st.lists(st.decimals(0, 10**4, places=3), min_size=2, max_size=20, unique=True), st.booleans())
def test_a_number_with_a_fraction_is_one_number(values, stripped):
    names = [f"t{10**5 + value:.3f}".rstrip("0" if stripped else "").rstrip(".") for value in values]
    assert stems(*names) == [name for _, name in sorted(zip(values, names, strict=True))]


@pytest.mark.parametrize(
    "pattern",
    [
        "%Y-%m-%d_%H-%M-%S",
        "%Y%m%d_%H%M%S",
        "%Y%m%d%H%M%S",
        "IMG_%Y%m%d_%H%M%S",
        "%H-%M-%S",
        "%Y.%m.%d %H.%M.%S",
        "%Hh%Mm%Ss",
    ],
)
def test_clocks_go_on_over_minutes_and_hours_and_dates_over_months(pattern):
    start = datetime.datetime(2021, 6, 27, 22, 59, 55)
    if "%d" in pattern:
        start = start.replace(day=30, hour=23)
    times = [start + datetime.timedelta(seconds=second) for second in range(12)]
    names = [time.strftime(pattern) for time in times]
    assert stems(*sorted(names)) == names
    assert numbers(*names) == [RATE * second for second in range(12)]


def test_fractions_of_a_clock_count():
    names = ["20210627_225159_900", "20210627_225200_000", "20210627_225200_100"]
    assert stems(*reversed(names)) == names
    assert numbers(*names) == [0, 3, 6]


def test_jitter_of_time_stamps_is_no_jump_and_a_lost_frame_is_one():
    times = [1403636579.763, 1403636579.799, 1403636579.829, 1403636579.866, 1403636579.933, 1403636579.966]
    frames = [Frame(str(n), "a", n) for n in numbers(*map(str, times))]
    assert clips(frames) == (range(0, 4), range(4, 6))
    nanoseconds = [str(round(time * 1e9)) for time in times]
    assert numbers(*nanoseconds) == [0, 1, 2, 3, 5, 6]


def test_small_whole_numbers_stay_as_they_are():
    assert numbers("0006R0_f01080", "0006R0_f01110", "0006R0_f03060") == [1080, 1110, 3060]


@pytest.mark.parametrize(
    "names",
    [
        ("scene1_2", "scene2_1"),
        ("left_0", "left_1", "right_0.5"),
        ("cam1.9", "cam1.10"),
        ("take2_0007", "take10_0003"),
    ],
)
def test_numbers_that_disagree_about_the_order_are_refused(names):
    for order in (in_order, numbered):
        with pytest.raises(DataError, match=r"ambiguous|different orders"):
            order(files(*names))


def test_numbers_that_agree_are_no_contradiction():
    assert numbers("000001_t0.033", "000002_t0.066", "000003_t0.100") == [0, 1, 2]
    assert numbers("scene1_4", "scene2_5", "scene2_9") == [4, 5, 9]


def test_one_number_twice_and_no_number_are_refused_where_numbers_are_needed():
    with pytest.raises(DataError, match=r"f1 and f01 .* have the same frame number 1"):
        numbered(files("f1", "f01"))
    with pytest.raises(DataError, match=r"cover\.png does not end in a number"):
        numbered(files("cover", "f1"))
    assert [path.stem for path in in_order(files("end", "begin"))] == ["begin", "end"]
    assert numbered([]) == []


def test_folders_follow_one_another_in_the_order_of_their_numbers():
    paths = [Path("take10/1.png"), Path("take9/2.png"), Path("take9/1.png")]
    assert in_order(paths) == [paths[2], paths[1], paths[0]]
