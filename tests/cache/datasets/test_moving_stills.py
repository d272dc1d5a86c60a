"""Clips made of stills, against a loop over pixels, and on which side of meta-val they are."""

from itertools import groupby
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cache.datasets.clips import clips, meta_split, thin_labels, windows
from cache.datasets.moving_stills import DRIFT, LATTICE, PARALLAX, SPEED, ZOOM, MovingStills, seen, vertices
from cache.datasets.shapes import Shapes

LENGTH = 4


@pytest.fixture(scope="module")
def moved():
    return MovingStills(Shapes(), LENGTH, beside=True)


def nearest(pixels, lattice):
    """Look every pixel of a view up by itself: its place between four corners is bilinear."""
    height, width = pixels.shape
    down = [round(height * i / LATTICE[0]) for i in range(LATTICE[0] + 1)]
    across = [round(width * j / LATTICE[1]) for j in range(LATTICE[1] + 1)]
    view = np.empty_like(pixels)
    for y, x in np.ndindex(height, width):
        i = max(k for k in range(LATTICE[0]) if down[k] <= y)
        j = max(k for k in range(LATTICE[1]) if across[k] <= x)
        v = (y + 0.5 - down[i]) / (down[i + 1] - down[i])
        u = (x + 0.5 - across[j]) / (across[j + 1] - across[j])
        upper = (1 - u) * lattice[i, j] + u * lattice[i, j + 1]
        lower = (1 - u) * lattice[i + 1, j] + u * lattice[i + 1, j + 1]
        row, column = ((1 - v) * upper + v * lower) * (height, width)
        view[y, x] = pixels[int(row), int(column)]
    return view


@given(st.text(max_size=9), st.integers(0, 6))
def test_a_view_shows_the_pixels_that_a_loop_finds(still, age):
    pixels = np.random.default_rng(age).integers(0, 256, (25, 38), dtype=np.uint8)
    lattice = vertices(still, age)
    assert (seen(pixels, lattice, Image.Resampling.NEAREST) == nearest(pixels, lattice)).mean() > 0.99  # ties


@given(st.text(max_size=9), st.integers(0, 8))
def test_a_view_stays_inside_the_picture_and_moves_no_faster_than_is_said(still, age):
    lattice, before = vertices(still, age), vertices(still, age + 1)
    assert lattice.min() >= 0
    assert lattice.max() <= 1
    fastest = max(SPEED) * (np.array(DRIFT) + PARALLAX + max(map(abs, ZOOM)) / 2)
    assert (np.abs(lattice - before) <= fastest + 1e-9).all()


def test_labels_move_with_their_pixels(moved):
    """A class is seen in the view of the label where its own mask, drawn as a picture, is seen."""
    frame = next(frame for frame in moved.frames("train") if frame.still and frame.number == 0)
    lattice = vertices(frame.still.name, LENGTH - 1)
    label = moved.filmed.label(frame.still)
    for value in np.unique(label):
        mask = np.where(label == value, 255, 0).astype(np.uint8)
        drawn = seen(mask, lattice, Image.Resampling.BILINEAR)
        view = moved.label(frame) == value
        assert (view[(drawn == 255) | (drawn == 0)] == (drawn == 255)[(drawn == 255) | (drawn == 0)]).mean() > 0.99


def test_every_labelled_training_frame_makes_one_clip_after_all_that_were_filmed(moved):
    filmed, frames = moved.filmed.frames("train"), moved.frames("train")
    assert frames[: len(filmed)] == filmed
    made = {still: list(each) for still, each in groupby(frames[len(filmed) :], key=lambda frame: frame.still)}
    assert tuple(made) == filmed
    assert {len(each) for each in made.values()} == {LENGTH}
    assert clips(frames)[-1] == range(len(frames) - LENGTH, len(frames))
    assert moved.frames("val") == moved.filmed.frames("val")
    assert len({frame.name for frame in frames}) == len(frames)


@given(st.floats(0.05, 0.5))
def test_what_is_made_of_a_still_is_on_its_side_of_meta_val(share):
    filmed = Shapes().frames("train")
    held = {filmed[place] for place in meta_split(filmed, share)[1]}
    for beside in (True, False):
        frames = MovingStills(Shapes(), LENGTH, beside).frames("train")
        train, val = meta_split(frames, share)
        assert sorted((*train, *val)) == list(range(len(frames)))
        of = [{frames[place].still or frames[place] for place in side} for side in (train, val)]
        assert of == [set(filmed) - held, held]


def test_windows_do_not_mix_what_was_filmed_with_what_was_made(moved):
    frames = moved.frames("train")
    for window in windows(frames, LENGTH):
        assert len({frames[place].still for place in window.positions}) == 1


def test_a_frame_whose_label_is_taken_away_leaves_none_in_its_clip(moved):
    frames = thin_labels(moved.frames("train"), 5)
    kept = {frame.name for frame in frames if frame.labelled and not frame.still}
    assert kept == {f.name for f in thin_labels(moved.filmed.frames("train"), 5) if f.labelled}
    assert {frame.still.name for frame in frames if frame.labelled and frame.still} == kept


def test_instead_of_what_was_filmed_the_clips_stand_alone(moved):
    filmed = moved.filmed.frames("train")
    assert MovingStills(Shapes(), LENGTH, beside=False).frames("train") == moved.frames("train")[len(filmed) :]


def test_training_has_a_fingerprint_of_its_own_that_knows_how_clips_are_made(moved):
    others = (MovingStills(Shapes(), length, beside) for length, beside in [(LENGTH, False), (5, True)])
    assert len({each.fingerprint("train") for each in (moved, moved.filmed, *others)}) == 4
    assert moved.fingerprint("val") == moved.filmed.fingerprint("val")


def test_a_picture_is_read_once_for_all_frames_of_its_clip():
    class Counted(Shapes):
        read: ClassVar[list[str]] = []

        def image(self, frame):
            self.read.append(frame.name)
            return super().image(frame)

        def label(self, frame):
            self.read.append(f"label of {frame.name}")
            return super().label(frame)

    made = MovingStills(Counted(), LENGTH, beside=False)
    for frame in made.frames("train")[: 2 * LENGTH]:
        made.image(frame), made.label(frame)
    one, two, *_ = (frame.name for frame in made.filmed.frames("train"))
    assert Counted.read == [one, f"label of {one}", two, f"label of {two}"]
