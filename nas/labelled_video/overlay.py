"""Label maps for the eye: laid over their frames, with a legend of the classes below."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]
OPACITY: Final = 0.5
BACKGROUND: Final = (24, 24, 24)


class Overlay:
    """Draws frames of one size in the colours of their classes, all above the same legend."""

    def __init__(self, size: tuple[int, int], names: Sequence[str], colours: Sequence[Sequence[int]]) -> None:
        """Draw the legend.

        Args:
            size: height and width of the frames.
            names: names of the classes.
            colours: RGB colours of the classes.
        """
        self._size = size
        self._colours = np.array(colours, np.uint8)
        legend = _legend(size, names, [(red, green, blue) for red, green, blue in colours])
        height, width = size[0] + len(legend), legend.shape[1]
        self._canvas = np.full((height + height % 2, width, 3), BACKGROUND, np.uint8)
        self._canvas[size[0] : height] = legend

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the pictures, even numbers, as videos want them."""
        return self._canvas.shape[0], self._canvas.shape[1]

    def __call__(self, image: Pixels, label: Pixels) -> Pixels:
        """Lay a label map (H, W) over its frame (H, W, 3), as one RGB picture with the legend."""
        picture = self._canvas.copy()
        mixed = (1 - OPACITY) * image + OPACITY * self._colours[label]
        picture[: self._size[0], : self._size[1]] = mixed.round().astype(np.uint8)
        return picture


def _legend(size: tuple[int, int], names: Sequence[str], colours: Sequence[Colour]) -> Pixels:
    """Draw a strip as wide as the frame, or one pixel wider: a square in its colour before each name, in columns."""
    height, width = size[0], size[1] + size[1] % 2
    text = min(max(10, height // 36), 40)
    fonts = [_font(name, text) for name in names]
    row, square = round(1.6 * text), text
    column = round(max(font.getlength(name) for font, name in zip(fonts, names, strict=True))) + 3 * square
    columns = max(1, min(len(names), width // column))
    strip = Image.new("RGB", (width, row * -(-len(names) // columns)), BACKGROUND)
    draw = ImageDraw.Draw(strip)
    for place, (name, colour) in enumerate(zip(names, colours, strict=True)):
        left, middle = place % columns * column + square, (place // columns + 0.5) * row
        draw.rectangle((left, middle - square / 2, left + square, middle + square / 2), colour, outline="white")
        draw.text((left + 1.5 * square, middle), name, "white", fonts[place], anchor="lm")
    return np.array(strip)


def _font(name: str, size: int) -> "ImageFont.FreeTypeFont | ImageFont.ImageFont":
    """Choose a font for a name: Pillow's own for plain letters, else one that has them."""
    if name.isascii():
        return ImageFont.load_default(size)
    from nas.labelled_video.fonts import font_file  # loads Matplotlib, for which few names need wait

    return ImageFont.truetype(font_file(name), size)
