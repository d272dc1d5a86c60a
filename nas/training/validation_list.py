"""A look at the validation list before training, whose errors would else surface after the first epochs."""

from typing import Final

import torch

from cache.datasets.clips import VOID
from cache.errors import DataError
from cache.frames import Frames

READ_AT_ONCE: Final = 16  # frames


def check_readable(frames: Frames) -> None:
    """Read every frame and label once; a list that fits in memory is then decoded for all validations to come.

    Raises:
        DataError: a frame or a label cannot be read, or no pixel is labelled.
    """
    labelled = False
    for _, labels in frames.batches(READ_AT_ONCE, torch.device("cpu")):
        labelled |= bool((labels != VOID).any())
    if not labelled:
        raise DataError(
            "no pixel of the validation list has a label, so no network could be scored; "
            "see what its masks hold and which value is void"
        )
