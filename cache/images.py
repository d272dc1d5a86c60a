"""Reading and resizing frames and index masks, with errors that name the file. Numpy and Pillow only, no torch."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cache.errors import DataError

IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)
_INDEX_MODES: Final = ("1", "L", "P", "I", "I;16")
_DEEP_MODES: Final = ("I", "I;16", "F")  # more than 8 bits, which Pillow would cut off at 255 and not scale
_FORMATS: Final = ("PNG", "JPEG", "BMP", "PPM", "WEBP")  # of Pillow's many, some start other programs
_UNREADABLE: Final = (  # what Pillow raises on damaged files
    *(OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, struct.error),
    Image.DecompressionBombError,
)


def image_size(path: Path) -> tuple[int, int]:
    """Read height and width from the file's header.

    Raises:
        DataError: the file is missing or no image, or would fill the memory.
    """
    with _opened(path) as image:
        return image.height, image.width


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read RGB pixels (H, W, 3) of a PNG, JPEG, BMP, PPM or WebP file.

    Raises:
        DataError: the file is missing, damaged or no image, would fill the memory, or has more than 8 bits a channel. A
            JPEG file has no checksum: damage that leaves a picture is not noticed.
    """
    with _opened(path, whole=True) as image:
        if image.mode not in _DEEP_MODES:
            return np.array(image.convert("RGB"))
    raise DataError(f"the image {path} has more than 8 bits a channel; convert it to 8 bits")


def read_index(path: Path) -> NDArray[np.int32]:
    """Read the stored pixel values (H, W) of a one-channel image: palette positions, not colours.

    Raises:
        DataError: the file is missing, damaged, no image, or a colour image.
    """
    with _opened(path, whole=True) as image:
        if image.mode in _INDEX_MODES:
            return np.array(image).astype(np.int32)
        mode = image.mode
    raise DataError(
        f"mask {path} is a {mode} image, but a mask has one channel whose values are class numbers; "
        "convert it to a palette or greyscale PNG"
    )


@contextmanager
def _opened(path: Path, *, whole: bool = False) -> Iterator[Image.Image]:
    """Open an image and read its header; with `whole`, every checksum in its file is right, where it has some."""
    try:
        if whole:
            with Image.open(path, formats=_FORMATS) as image:
                image.verify()  # Pillow does not check those of pixels when it decodes them
        with Image.open(path, formats=_FORMATS) as image:
            yield image
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error


def scaled_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """Multiply height and width by `scale`, rounded, and at least one pixel."""
    height, width = (max(1, round(side * scale)) for side in size)
    return height, width


def resize_image(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize an image (H, W, 3) to `size` = (height, width): bilinear, an average of what is covered when shrinking."""
    if image.shape[:2] == size:
        return image
    return np.array(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))


def resize_label(label: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize a label (H, W) to `size` = (height, width): the value under each new pixel's centre; void stays void."""
    if label.shape == size:
        return label
    return np.array(Image.fromarray(label).resize(size[::-1], Image.Resampling.NEAREST))


def _unreadable(path: Path, error: Exception) -> DataError:
    reason = "it does not exist" if isinstance(error, FileNotFoundError) else str(error)
    return DataError(f"cannot read the image {path}: {reason}; restore the file or remove its frame from the data set")
