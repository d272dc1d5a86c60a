from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.datasets.clips import MINIMUM_BLOCK, Frame, Window, clips, meta_split, stretches, windows
from cache.errors import DataError


def sequence(numbers, name="a", unlabelled=()):
    return [Frame(f"{name}_{n}", name, n, labelled=n not in unlabelled) for n in numbers]


def several(numbers_by_sequence):
    return [frame for name, numbers in numbers_by_sequence.items() for frame in sequence(numbers, name)]


@st.composite
def frame_lists(draw):
    """A list of frames of up to three sequences with gaps of 1 to 31 and some frames unlabelled."""
    frames = []
    for sequence in "abc"[: draw(st.integers(1, 3))]:
        number = draw(st.integers(0, 5))
        for gap in [0, *draw(st.lists(st.sampled_from([1, 2, 29, 30, 30, 30, 31, 33, 34, 270]), max_size=12))]:
            number += gap
            frames.append(Frame(f"{sequence}_{number}", sequence, number, draw(st.integers(0, 3)) > 0))
    return frames


def is_window(frames, positions):
    """The definition, word by word."""
    chosen = [frames[i] for i in positions]
    if len({frame.sequence for frame in chosen}) > 1 or not chosen[-1].labelled:
        return False
    same = [frame.number for frame in frames if frame.sequence == chosen[0].sequence]
    counts = Counter(b - a for a, b in pairwise(same))
    if len(chosen) > 1:
        usual = min(gap for gap in counts if counts[gap] == max(counts.values()))
        gaps = [b.number - a.number for a, b in pairwise(chosen)]
        return all(10 * abs(gap - usual) <= usual for gap in gaps)
    return chosen[0].labelled


@given(frame_lists(), st.integers(1, 4))
def test_windows_are_all_consecutive_positions_that_fit_the_definition(frames, length):
    starts = range(len(frames) - length + 1)
    expected = [p for p in (tuple(range(s, s + length)) for s in starts) if is_window(frames, p)]
    whole = [window.positions for window in windows(frames, length) if len(window.positions) == length]
    assert whole == expected


@given(frame_lists(), st.integers(2, 5))
def test_a_clip_too_short_for_a_window_gives_all_it_has_up_to_its_last_label(frames, length):
    shorter = [window.positions for window in windows(frames, length) if len(window.positions) < length]
    expected = []
    for each in clips(frames):
        last = max((i for i in each if frames[i].labelled), default=-1)
        if each.start < last < each.start + length - 1:
            expected.append(tuple(range(each.start, last + 1)))
    assert shorter == expected


def test_a_29_and_a_31_beside_30s_are_no_jump_but_270_is():
    frames = sequence([0, 30, 59, 90, 360, 390])
    assert clips(frames) == (range(0, 4), range(4, 6))
    assert windows(frames, 3) == (Window((0, 1, 2), 30), Window((1, 2, 3), 30), Window((4, 5), 30))
    assert [window.gap for window in windows(frames, 2)] == [30, 29, 31, 30]


def test_a_gap_of_two_among_ones_is_a_jump():
    assert clips(sequence([0, 1, 3, 4])) == (range(0, 2), range(2, 4))


def test_only_the_last_frame_of_a_window_has_to_be_labelled():
    frames = sequence([17, 18, 19, 20], unlabelled={17, 18, 20})
    assert [window.positions for window in windows(frames, 2)] == [(1, 2)]
    assert [window.positions for window in windows(frames, 3)] == [(0, 1, 2)]
    assert windows(frames, 1) == (Window((2,), 0),)


def test_the_same_numbers_in_another_sequence_are_no_continuation():
    assert clips(several({"a": [1, 2, 3], "b": [4, 5, 6]})) == (range(0, 3), range(3, 6))


def test_no_frames_have_no_clips_and_no_windows():
    assert clips([]) == ()
    assert windows([], 2) == ()


def test_a_window_of_no_frames_is_a_programming_error():
    with pytest.raises(ValueError, match="length is 0"):
        windows(sequence([1]), 0)
    with pytest.raises(ValueError, match="step 0"):
        windows(sequence([1]), 2, step=0)


@given(frame_lists(), st.integers(1, 4), st.integers(1, 4))
def test_windows_of_a_step_are_those_of_the_frames_that_remain_in_between(frames, length, step):
    long = {window.positions[::step] for window in windows(frames, (length - 1) * step + 1)}
    found = [window.positions for window in windows(frames, length, step=step)]
    assert {window for window in found if len(window) == length} == {w for w in long if len(w) == length}
    assert all(b - a == step for window in found for a, b in pairwise(window))
    assert len(set(found)) == len(found)


@given(frame_lists(), st.integers(2, 4))
def test_unlabelled_windows_are_those_there_would_be_if_every_frame_had_a_label(frames, length):
    labelled = [replace(frame, labelled=True) for frame in frames]
    assert windows(frames, length, unlabelled=True) == windows(labelled, length)


@given(frame_lists(), st.sets(st.integers(0, 40)))
def test_stretches_cover_what_is_allowed_and_cross_neither_clips_nor_what_is_not(frames, allowed):
    found = stretches(frames, allowed)
    assert [place for each in found for place in each] == [i for i in range(len(frames)) if i in allowed]
    inside = [clip for each in found for clip in clips(frames) if clip.start <= each.start < each.stop <= clip.stop]
    assert len(inside) == len(found)
    assert all(
        before.stop < after.start or before.stop in {c.start for c in clips(frames)}
        for before, after in pairwise(found)
    )


@given(frame_lists(), st.floats(0.05, 0.95))
def test_meta_split_is_a_partition_and_windows_of_the_parts_are_windows_of_the_whole(frames, share):
    try:
        train, val = meta_split(frames, share)
    except DataError:
        assert max(map(len, clips(frames))) < 2 * MINIMUM_BLOCK
        return
    assert val
    assert sorted(train + val) == list(range(len(frames)))
    assert list(train) == sorted(train)
    assert list(val) == sorted(val)
    for each in clips(frames):
        held = [i for i in each if i in val]
        assert held == list(each)[len(each) - len(held) :]  # the end of a clip, whole clips included
    for part in (train, val):
        inside = [window.positions for window in windows(frames, 2, part)]
        assert inside == [w.positions for w in windows(frames, 2) if set(w.positions) <= set(part)]


def test_meta_split_takes_the_end_of_each_long_clip():
    train, val = meta_split(several({"a": range(0, 50), "b": range(100, 140)}), 0.1)
    assert val == (45, 46, 47, 48, 49, 86, 87, 88, 89)
    assert len(train) == 81


def test_meta_split_takes_whole_short_clips_spread_over_the_list():
    _, val = meta_split(several({f"clip{i:02d}": range(10) for i in range(24)}), 0.1)
    assert val == (*range(40, 50), *range(140, 150))


def test_meta_split_of_one_short_clip_is_the_smallest_block():
    assert meta_split(sequence(range(9)), 0.1)[1] == (6, 7, 8)


def test_meta_split_says_when_there_is_too_little():
    with pytest.raises(DataError, match=r"5 training frames in 1 clips .* add frames or longer clips"):
        meta_split(sequence(range(5)), 0.1)


@pytest.mark.parametrize("share", [0, 1, -0.1])
def test_a_share_outside_0_and_1_is_a_programming_error(share):
    with pytest.raises(ValueError, match="share must lie in"):
        meta_split(sequence(range(50)), share)
