"""A sheet of frames under their labels: whether these are what one thinks is seen at a glance."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cache.datasets.clips import VOID, Dataset, Frame
from cache.datasets.palette import VOID_COLOUR
from cache.images import letterbox_image, letterbox_label
from nas.evaluation.examples import spread_evenly
from nas.labelled_video.overlay import BACKGROUND, Overlay

Pixels = NDArray[np.uint8]
COLUMNS: Final = 3
LONGEST: Final = 480
"""Longer side of a frame on the sheet, in pixels."""
_GAP: Final = 6  # pixels


def spread(frames: Sequence[Frame], count: int) -> list[Frame]:
    """Choose some labelled frames, spread evenly over a list."""
    return spread_evenly([frame for frame in frames if frame.labelled], count)


def draw_sheet(dataset: Dataset, frames: Sequence[Frame]) -> Pixels:
    """Draw frames under their labels, row by row, above one legend with void in it: RGB (H, W, 3).

    Raises:
        DataError: a frame or its label cannot be read.
    """
    scale = LONGEST / max(dataset.size)
    size = round(dataset.size[0] * scale), round(dataset.size[1] * scale)
    names, colours = [*dataset.classes, "void"], [*dataset.colours, VOID_COLOUR]
    overlay = Overlay(size, names, colours)
    panels = []
    for frame in frames:
        label = letterbox_label(dataset.label(frame), size, VOID)
        label = np.where(label == VOID, len(dataset.classes), label).astype(np.uint8)
        panels.append(overlay(letterbox_image(dataset.image(frame), size), label))
    blank = np.full_like(panels[0], BACKGROUND)
    panels += [blank] * (-len(panels) % COLUMNS)
    framed = [np.pad(panel, ((0, _GAP), (0, _GAP), (0, 0))) for panel in panels]
    rows = [np.hstack(framed[start : start + COLUMNS]) for start in range(0, len(framed), COLUMNS)]
    return np.vstack(rows)
