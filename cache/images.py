"""Reading and resizing frames and masks, with errors that name the file. Numpy and Pillow only, no torch.

Pictures are turned upright as their EXIF orientation says, images and masks alike, as every viewer shows them and as
videos are turned. Stored values are what counts in a mask, whatever its bit depth.
"""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, ImageOps

from cache.errors import DataError

IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)
_INDEX_MODES: Final = ("1", "L", "P", "I", "I;16")
_DEEP_MODES: Final = ("I", "I;16", "F")  # more than 8 bits, which Pillow would cut off at 255 and not scale
_FORMATS: Final = ("PNG", "JPEG", "BMP", "PPM", "WEBP")  # of Pillow's many, some start other programs
_GREY: Final = (124, 116, 104)  # ImageNet's mean, which is 0 to a network
_LOW_BITS: Final = {"L;2": 85, "L;4": 17}  # raw mode -> what Pillow multiplies stored values by
_TURNS: Final = range(5, 9)  # EXIF orientations that swap height and width
_UNREADABLE: Final = (  # what Pillow raises on damaged files
    *(OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, struct.error),
    Image.DecompressionBombError,
)


def image_size(path: Path) -> tuple[int, int]:
    """Read height and width from the file's header, as they are once the picture is upright.

    Raises:
        DataError: the file is missing or no image, or would fill the memory.
    """
    with _opened(path) as image:
        turned = _orientation(image) in _TURNS
        return (image.width, image.height) if turned else (image.height, image.width)


def orientation(path: Path) -> int:
    """Read the EXIF orientation of a picture, 1 to 8; 1 is upright. Raises DataError as `image_size` does."""
    with _opened(path) as image:
        return _orientation(image)


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read RGB pixels (H, W, 3) of a PNG, JPEG, BMP, PPM or WebP file, upright.

    Raises:
        DataError: the file is missing, damaged or no image, would fill the memory, or has more than 8 bits a channel. A
            JPEG file has no checksum: damage that leaves a picture is not noticed.
    """
    with _opened(path, whole=True) as image:
        if image.format != "MPO" and (count := getattr(image, "n_frames", 1)) > 1:  # a phone's MPO has previews
            raise DataError(f"the image {path} is an animation of {count} frames; save each as an image of its own")
        if image.mode not in _DEEP_MODES:
            return np.array(_upright(image).convert("RGB"))
    raise DataError(f"the image {path} has more than 8 bits a channel; convert it to 8 bits")


@dataclass(frozen=True, eq=False)
class Mask:
    """A mask as it is stored, upright: an index, a palette with it, or a colour of each pixel."""

    pixels: NDArray[np.int32]
    """Stored values (H, W), palette positions where there is a palette; or RGB (H, W, 3)."""
    palette: NDArray[np.uint8] | None = None
    """RGB (entries, 3) of each palette position; None without a palette."""

    @property
    def is_coloured(self) -> bool:
        """Tell whether pixels are colours and no index."""
        return self.pixels.ndim == 3


def read_mask(path: Path) -> Mask:
    """Read a mask of indices, of palette positions, or of colours.

    Raises:
        DataError: the file is missing, damaged or no image, or is none of these.
    """
    with _opened(path, whole=True) as image:
        factor = _LOW_BITS.get(_raw_mode(image), 1)
        upright = _upright(image)
        mode = upright.mode
        if mode in _INDEX_MODES:
            palette = np.array(upright.getpalette("RGB"), np.uint8).reshape(-1, 3) if mode == "P" else None
            return Mask(np.array(upright).astype(np.int32) // factor, palette)
        opaque = mode == "RGBA" and np.array(upright.getchannel("A")).min() == 255
        if mode == "RGB" or opaque:
            return Mask(np.array(upright.convert("RGB")).astype(np.int32))
    raise DataError(
        f"mask {path} is a {mode} image{' with transparent pixels' if mode == 'RGBA' else ''}, but a mask has one "
        "channel whose values are class numbers, or opaque colours; convert it to a palette, greyscale or RGB PNG"
    )


@contextmanager
def _opened(path: Path, *, whole: bool = False) -> Iterator[ImageFile.ImageFile]:
    """Open an image and read its header; with `whole`, every checksum in its file is right, where it has some."""
    try:
        if whole:
            with Image.open(path, formats=_FORMATS) as image:
                image.verify()  # Pillow does not check those of pixels when it decodes them
        with Image.open(path, formats=_FORMATS) as image:
            yield image
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error


def _upright(image: Image.Image) -> Image.Image:
    """Turn a picture as its orientation says; what has none is given back as it is."""
    image.load()
    return ImageOps.exif_transpose(image)


def _orientation(image: ImageFile.ImageFile) -> int:
    """Read an orientation off the header, or off the whole file where a PNG may have it at its end."""
    if image.format == "PNG" and "exif" not in image.info and not _has_late_exif(image):
        return 1
    value = image.getexif().get(ExifTags.Base.Orientation, 1)
    return value if value in range(1, 9) else 1


def _has_late_exif(image: ImageFile.ImageFile) -> bool:
    """Look for EXIF behind the pixels of a PNG, without decoding them."""
    file = image.fp
    assert file is not None
    place = file.tell()
    file.seek(8)
    try:
        while len(header := file.read(8)) == 8:
            if header[4:] == b"eXIf":
                return True
            file.seek(int.from_bytes(header[:4], "big") + 4, os.SEEK_CUR)
        return False
    finally:
        file.seek(place)


def _raw_mode(image: ImageFile.ImageFile) -> str:
    """Name the layout of stored pixels, which Pillow forgets once it has decoded them."""
    arguments = image.tile[0].args if image.tile else ""
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


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


def letterbox_image(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Fit an image (H, W, 3) into `size` = (height, width) at its own aspect ratio, in the middle of grey."""
    inner, (top, left) = _inside(image.shape[:2], size)
    framed = np.full((*size, 3), _GREY, np.uint8)
    framed[top : top + inner[0], left : left + inner[1]] = resize_image(image, inner)
    return framed


def letterbox_label(label: NDArray[np.uint8], size: tuple[int, int], void: int) -> NDArray[np.uint8]:
    """Fit a label (H, W) as `letterbox_image` does its image, in the middle of `void`."""
    inner, (top, left) = _inside(label.shape, size)
    framed = np.full(size, void, np.uint8)
    framed[top : top + inner[0], left : left + inner[1]] = resize_label(label, inner)
    return framed


def _inside(size: tuple[int, ...], frame: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Scale `size` to fit into `frame`: height and width, and the place of the top left corner."""
    scale = min(frame[0] / size[0], frame[1] / size[1])
    height, width = (min(most, max(1, round(side * scale))) for side, most in zip(size, frame, strict=True))
    return (height, width), ((frame[0] - height) // 2, (frame[1] - width) // 2)


def _unreadable(path: Path, error: Exception) -> DataError:
    reason = "it does not exist" if isinstance(error, FileNotFoundError) else str(error)
    return DataError(f"cannot read the image {path}: {reason}; restore the file or remove its frame from the data set")
