"""Names and colours of classes: what may stand as one, and colours for a data set that has none."""

import colorsys
from typing import Final

VOID_COLOUR: Final = (0, 0, 0)
"""Colour in which pictures show where there is no label, as CamVid and Cityscapes have it."""


def made_up_colours(classes: int) -> tuple[tuple[int, int, int], ...]:
    """Choose an RGB colour for each class.

    Steps of the golden ratio keep hues apart, and three brightnesses those that come close.
    """
    return tuple(_rgb((0.618034 * index) % 1, (0.95, 0.7, 0.45)[index % 3]) for index in range(classes))


def is_name(value: object) -> bool:
    """Tell whether `value` can stand in a legend and in a line of a table."""
    return isinstance(value, str) and value != "" and value.isprintable()


def is_colour(value: object) -> bool:
    """Tell whether `value` is an RGB colour, three integers from 0 to 255."""
    return isinstance(value, list | tuple) and len(value) == 3 and all(type(c) is int and 0 <= c <= 255 for c in value)


def _rgb(hue: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.65, value)
    return round(255 * red), round(255 * green), round(255 * blue)
