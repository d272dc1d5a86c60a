"""Reading and resizing frames and index masks, with errors that name the file. Numpy and Pillow only, no torch."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cache.errors import DataError

IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)
_INDEX_MODES: Final = ("1", "L", "P", "I", "I;16")
_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # what Pillow raises on damaged files


def image_size(path: Path) -> tuple[int, int]:
    """Height and width from the file's header.

    Raises:
        DataError: the file is missing or no image.
    """
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error


def read_image(path: Path) -> NDArray[np.uint8]:
    """RGB pixels (H, W, 3) of any image Pillow knows.

    Raises:
        DataError: the file is missing, truncated or no image.
    """
    try:
        with Image.open(path) as image:
            return np.array(image.convert("RGB"))
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error


def read_index(path: Path) -> NDArray[np.int32]:
    """Stored pixel values (H, W) of a one-channel image: palette positions, not colours.

    Raises:
        DataError: the file is missing, truncated, no image, or a colour image.
    """
    try:
        with Image.open(path) as image:
            if image.mode in _INDEX_MODES:
                return np.array(image).astype(np.int32)
            mode = image.mode
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error
    raise DataError(
        f"mask {path} is a {mode} image, but a mask has one channel whose values are class numbers; "
        "convert it to a palette or greyscale PNG"
    )


def scaled_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """Height and width times `scale`, rounded, and at least one pixel."""
    height, width = (max(1, round(side * scale)) for side in size)
    return height, width


def resize_image(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Image (H, W, 3) at `size` = (height, width): bilinear, and averaging over the covered area when shrinking."""
    if image.shape[:2] == size:
        return image
    return np.array(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))


def resize_label(label: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Label (H, W) at `size` = (height, width): the value under each new pixel's centre; void stays void."""
    if label.shape == size:
        return label
    return np.array(Image.fromarray(label).resize(size[::-1], Image.Resampling.NEAREST))


def normalise(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pixels (..., 3) of 0 to 255 as ImageNet-trained networks expect them, in the same layout."""
    mean, std = np.array(IMAGENET_MEAN, np.float32), np.array(IMAGENET_STD, np.float32)
    return (image.astype(np.float32) / np.float32(255) - mean) / std


def _unreadable(path: Path, error: Exception) -> DataError:
    reason = "it does not exist" if isinstance(error, FileNotFoundError) else str(error)
    return DataError(f"cannot read the image {path}: {reason}; restore the file or remove its frame from the data set")
