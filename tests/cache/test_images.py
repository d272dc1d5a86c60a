import contextlib
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from cache.errors import DataError
from cache.images import (
    image_size,
    read_image,
    read_index,
    resize_image,
    resize_label,
)


def test_shrinking_averages_so_that_fine_stripes_turn_grey_and_do_not_alias():
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2] = 200
    small = resize_image(stripes, (4, 4))
    assert small.shape == (4, 4, 3)
    assert abs(small.astype(int) - 100).max() <= 4


def test_a_shrunk_label_takes_the_value_under_each_new_centre():
    label = np.random.default_rng(0).integers(0, 256, (360, 480), dtype=np.uint8)
    np.testing.assert_array_equal(resize_label(label, (45, 60)), label[4::8, 4::8])


def test_the_grid_of_a_resized_label_is_the_grid_of_the_resized_image():
    """A bright half stays over its label on odd sizes, to half a pixel of the edge."""
    label = np.zeros((37, 51), np.uint8)
    label[:, 26:] = 1
    image = np.repeat(label[..., None] * 255, 3, axis=-1)
    small_image, small_label = resize_image(image, (11, 17)), resize_label(label, (11, 17))
    assert (abs(small_image[..., 0] / 255.0 - small_label) <= 0.5).all()


def test_resizing_to_the_own_size_changes_nothing():
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    np.testing.assert_array_equal(resize_image(image, (5, 7)), image)
    np.testing.assert_array_equal(resize_label(image[..., 0], (5, 7)), image[..., 0])


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1"])
def test_any_picture_is_read_as_rgb(tmp_path, mode):
    Image.new(mode, (4, 3)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").shape == (3, 4, 3)
    assert image_size(tmp_path / "a.png") == (3, 4)


def test_a_16_bit_mask_keeps_its_values(tmp_path):
    Image.fromarray(np.array([[7, 300]], np.uint16)).save(tmp_path / "a.png")
    assert read_index(tmp_path / "a.png").tolist() == [[7, 300]]


@pytest.mark.parametrize("read", [read_image, read_index, image_size])
def test_what_is_no_image_is_named(tmp_path, read):
    (tmp_path / "a.png").write_text("hello")
    with pytest.raises(DataError, match=r"cannot read the image .*a.png: cannot identify"):
        read(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"b.png: it does not exist; restore the file"):
        read(tmp_path / "b.png")


@pytest.mark.parametrize("shape", [(12, 16), (12, 16, 3)])
def test_a_flipped_byte_of_a_png_is_refused_or_changes_nothing(tmp_path, shape):
    """Pillow decodes some of them into other pixels."""
    path, read = tmp_path / "a.png", read_image if len(shape) == 3 else read_index
    Image.fromarray(np.random.default_rng(0).integers(0, 12, shape, dtype=np.uint8)).save(path)
    content, pixels = path.read_bytes(), read(path)
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1
        path.write_bytes(changed)
        with contextlib.suppress(DataError):
            np.testing.assert_array_equal(read(path), pixels)


@pytest.mark.parametrize("read", [read_image, read_index, image_size])
def test_a_header_that_promises_a_giant_is_refused_unread(tmp_path, read):
    path, chunk = tmp_path / "a.png", b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    Image.new("L", (4, 3)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[:12] + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[33:])
    with pytest.raises(DataError, match=r"a\.png: Image size \(10000000000 pixels\) exceeds limit"):
        read(path)


@pytest.mark.parametrize("content", [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"GIF89a" + bytes(99)])
def test_a_format_that_no_frame_has_is_refused_whatever_the_name(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.png: cannot identify image file"):
        read_image(tmp_path / "a.png")


def test_a_deep_picture_is_refused_and_not_cut_off_at_255(tmp_path):
    Image.fromarray(np.array([[7, 300]], np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png has more than 8 bits a channel"):
        read_image(tmp_path / "a.png")
