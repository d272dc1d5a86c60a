import contextlib
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from cache.errors import DataError
from cache.images import (
    image_size,
    letterbox_image,
    letterbox_label,
    orientation,
    read_image,
    read_mask,
    resize_image,
    resize_label,
)


def read_index(path):
    """The stored values of a mask."""
    return read_mask(path).pixels


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


@pytest.mark.parametrize("read", [read_image, read_mask, image_size])
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


@pytest.mark.parametrize("read", [read_image, read_mask, image_size])
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


def stored_png(path, pixels, bits, chunks=()):
    """Write a greyscale PNG of any bit depth by hand, so that no library has a say in it."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = pixels.shape
    rows = [np.packbits((row[:, None] >> np.arange(bits)[::-1]) & 1).tobytes() for row in pixels]
    parts = [
        chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)),
        chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))),
        *(chunk(*each) for each in chunks),
        chunk(b"IEND", b""),
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_stored_values_count_whatever_the_bit_depth(tmp_path, bits):
    pixels = np.arange(35).reshape(5, 7) % 2**bits
    stored_png(tmp_path / "a.png", pixels, bits)
    np.testing.assert_array_equal(read_index(tmp_path / "a.png"), pixels)


SEEN = np.kron(np.arange(12).reshape(3, 4) * 20, np.ones((8, 8))).astype(np.uint8)  # large blocks, which JPEG keeps
STORED = {  # what a camera writes for a picture that is to be seen as it is, by orientation
    1: SEEN,
    2: SEEN[:, ::-1],
    3: SEEN[::-1, ::-1],
    4: SEEN[::-1],
    5: SEEN.T,
    6: np.rot90(SEEN),
    7: np.rot90(SEEN, 2).T,
    8: np.rot90(SEEN, -1),
}


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("tag", STORED)
def test_images_and_masks_are_turned_upright(tmp_path, suffix, tag):
    path, exif = tmp_path / f"a.{suffix}", Image.Exif()
    exif[0x0112] = tag
    Image.fromarray(STORED[tag]).save(path, exif=exif, quality=95)
    assert orientation(path) == tag
    assert image_size(path) == SEEN.shape
    assert abs(read_image(path)[..., 0].astype(int) - SEEN).max() < 12
    if suffix == "png":
        np.testing.assert_array_equal(read_index(path), SEEN)


def test_an_orientation_behind_the_pixels_of_a_png_counts(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    stored_png(tmp_path / "a.png", STORED[6], 8, [(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))])
    assert image_size(tmp_path / "a.png") == SEEN.shape
    np.testing.assert_array_equal(read_index(tmp_path / "a.png"), SEEN)


def test_colour_masks_are_read_as_colours_unless_they_can_be_seen_through(tmp_path):
    Image.new("RGBA", (4, 3), (1, 2, 3, 255)).save(tmp_path / "a.png")
    assert read_mask(tmp_path / "a.png").pixels[0, 0].tolist() == [1, 2, 3]
    Image.new("RGBA", (4, 3), (1, 2, 3, 0)).save(tmp_path / "b.png")
    with pytest.raises(DataError, match=r"b\.png is a RGBA image with transparent pixels"):
        read_mask(tmp_path / "b.png")


def test_letterboxes_keep_the_aspect_ratio_and_label_what_the_image_shows():
    image = np.full((10, 30, 3), 200, np.uint8)
    label = np.full((10, 30), 1, np.uint8)
    framed, labelled = letterbox_image(image, (20, 20)), letterbox_label(label, (20, 20), 255)
    assert framed.shape == (20, 20, 3)
    inside = np.zeros((20, 20), bool)
    inside[6:13] = True  # 10 x 20 / 30 is 7 rows
    np.testing.assert_array_equal(labelled == 1, inside)
    np.testing.assert_array_equal((framed == 200).all(-1), inside)
    assert (labelled[~inside] == 255).all()


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_an_animation_is_refused_and_not_cut_to_its_first_frame(tmp_path, suffix):
    frames = [Image.fromarray(np.full((8, 8, 3), value, np.uint8)) for value in (0, 90, 180)]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match=r"is an animation of 3 frames; save each as an image"):
        read_image(tmp_path / f"a.{suffix}")


def test_a_phone_picture_with_a_preview_behind_it_is_read(tmp_path):
    big, small = (Image.fromarray(np.full((8 * size, 8 * size, 3), 99, np.uint8)) for size in (2, 1))
    big.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[small])
    assert read_image(tmp_path / "a.jpg").shape == (16, 16, 3)


def test_jpegs_in_the_colours_of_print_are_seen_as_they_look(tmp_path):
    colours = [(255, 255, 255), (0, 0, 0), (255, 0, 0), (0, 0, 255)]
    seen = np.repeat(np.repeat(np.array([colours], np.uint8), 16, 0), 16, 1)
    Image.fromarray(seen).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert abs(read_image(tmp_path / "a.jpg")[:, 8::16].astype(int) - seen[:, 8::16]).max() < 25
