"""Checks on what masks mean: values, palettes and colours."""

from pathlib import Path

import numpy as np
import pytest

from cache.datasets.clips import VOID
from cache.datasets.masks import MaskCode
from cache.errors import DataError
from cache.images import Mask

BLACK, RED, BLUE, WHITE = (0, 0, 0), (200, 30, 30), (30, 30, 200), (255, 255, 255)
PATH = Path("mask.png")


def code(**options):
    defaults = {"values": {0: 0, 1: 1, 2: 2, 255: VOID}, "colours": (BLACK, RED, BLUE), "reads_colours": True}
    return MaskCode("walks", ("background", "dog", "cat"), **defaults | options)


def palette(*colours):
    """A palette of 256 entries that begins so."""
    table = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, 1)
    table[: len(colours)] = np.array(colours, np.uint8).reshape(-1, 3)
    return table


def test_values_mean_classes_or_void():
    label = code(values={7: 0, 0: 1, 300: 2, 4: VOID}).decode(Mask(np.array([[7, 0], [300, 4]])), PATH)
    assert label.dtype == np.uint8
    assert label.tolist() == [[0, 1], [2, VOID]]


def test_a_palette_in_the_classes_order_is_read_by_its_values():
    pixels = np.array([[0, 1, 2, 255]])
    assert code().decode(Mask(pixels, palette(BLACK, RED, BLUE)), PATH).tolist() == [[0, 1, 2, VOID]]
    others = palette((1, 2, 3), (4, 5, 6), (7, 8, 9))  # colours of no class say nothing
    assert code().decode(Mask(pixels, others), PATH).tolist() == [[0, 1, 2, VOID]]


def test_a_palette_in_another_order_is_refused():
    mask = Mask(np.array([[0, 1, 2]]), palette(RED, BLACK, BLUE))
    with pytest.raises(
        DataError, match=r"value 0, which means background, in the colour \[200, 30, 30\] of dog: .*masks: colours"
    ):
        code().decode(mask, PATH)


def test_an_unused_position_of_a_palette_may_have_any_colour():
    assert code().decode(Mask(np.array([[0, 0]]), palette(BLACK, BLUE, RED)), PATH).tolist() == [[0, 0]]


def test_a_palette_that_only_shows_positions_says_nothing():
    grey = code(colours=((2, 2, 2), BLACK, (1, 1, 1)))
    assert grey.decode(Mask(np.array([[0, 1, 2]]), palette()), PATH).tolist() == [[0, 1, 2]]


def test_a_class_colour_on_void_is_refused():
    mask = Mask(np.array([[0, 255]]), palette(BLACK, RED, BLUE, *[WHITE] * 252, RED))
    with pytest.raises(DataError, match="which means void, in the colour"):
        code().decode(mask, PATH)


def test_palettes_that_differ_from_file_to_file_are_refused_where_no_colours_are_known():
    unknown = code(colours=None)
    first = Mask(np.array([[0, 1, 2]]), palette(BLACK, RED, BLUE))
    assert unknown.decode(first, Path("a.png")).tolist() == [[0, 1, 2]]
    assert unknown.decode(first, Path("b.png")).tolist() == [[0, 1, 2]]
    with pytest.raises(
        DataError, match=r"palettes of a\.png and c\.png differ: the colour \[30, 30, 200\] has the value 2"
    ):
        unknown.decode(Mask(np.array([[0, 1]]), palette(BLACK, BLUE, RED)), Path("c.png"))


def test_colours_are_decoded_and_one_may_be_void():
    pixels = np.array([[BLACK, RED], [BLUE, WHITE]])
    assert code(void_colour=WHITE).decode(Mask(pixels), PATH).tolist() == [[0, 1], [2, VOID]]


def test_a_palette_may_be_read_by_its_colours():
    mask = Mask(np.array([[0, 1, 2]]), palette(RED, BLACK, BLUE))
    assert code(by_colour=True).decode(mask, PATH).tolist() == [[1, 0, 2]]
    with pytest.raises(DataError, match="greyscale image and has no colours"):
        code(by_colour=True).decode(Mask(np.array([[0]])), PATH)


def test_unknown_colours_are_counted_and_the_most_frequent_are_named():
    pixels = np.array([[BLACK, (199, 30, 30), (199, 30, 30), (1, 1, 1)]])
    message = r"2 colours of no class on 3 of 4 pixels: \[199, 30, 30\] \(2 pixels\), \[1, 1, 1\] \(1 pixels\);"
    with pytest.raises(DataError, match=message):
        code().decode(Mask(pixels), PATH)


def test_masks_of_colours_need_colours():
    with pytest.raises(DataError, match=r"holds colours and no class numbers; write the colour of each class"):
        code(colours=None).decode(Mask(np.array([[RED]])), PATH)
    with pytest.raises(DataError, match=r"is a RGB image, but a mask has one channel"):
        code(reads_colours=False).decode(Mask(np.array([[BLACK]])), PATH)


def test_the_advice_fits_data_whose_masks_are_published():
    mask = Mask(np.array([[0]]), palette(RED))
    with pytest.raises(DataError, match="get the published masks"):
        code(reads_colours=False).decode(mask, PATH)


def test_class_numbers_in_three_equal_channels_are_class_numbers():
    pixels = np.repeat(np.array([[0, 1], [2, 255]])[..., None], 3, -1)
    assert code(colours=None).decode(Mask(pixels), PATH).tolist() == [[0, 1], [2, VOID]]
    with pytest.raises(DataError, match=r"\[2, 2, 2\] .*three equal channels are class numbers"):
        code().decode(Mask(pixels), PATH)
