import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nas.labelled_video.overlay import Overlay

NAMES = ("sky", "road", "a rather long name")
COLOURS = ((10, 20, 250), (200, 0, 100), (0, 255, 0))


def frame(size):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (*size, 3), dtype=np.uint8), rng.integers(0, 3, size, dtype=np.uint8)


def test_a_pixel_is_half_its_own_and_half_its_class_colour():
    image, label = frame((7, 9))
    picture = Overlay((7, 9), NAMES, COLOURS)(image, label)
    for y in range(7):
        for x in range(9):
            for channel in range(3):
                expected = (int(image[y, x, channel]) + COLOURS[label[y, x]][channel]) / 2
                assert abs(picture[y, x, channel] - expected) <= 0.5


@given(st.integers(1, 90), st.integers(1, 300), st.integers(1, 25))
def test_pictures_of_any_frame_have_even_sides_and_start_with_the_frame(height, width, classes):
    colours = [(10 * index, 0, 255 - 10 * index) for index in range(classes)]
    overlay = Overlay((height, width), [f"class {index}" for index in range(classes)], colours)
    picture = overlay(np.zeros((height, width, 3), np.uint8), np.full((height, width), classes - 1, np.uint8))
    assert picture.shape == (*overlay.size, 3)
    assert overlay.size[0] % 2 == overlay.size[1] % 2 == 0
    assert overlay.size[0] > height
    assert 0 <= overlay.size[1] - width <= 1
    assert (abs(picture[:height, :width] - np.array(colours[-1]) / 2) <= 0.5).all()


def test_the_legend_shows_every_class_and_is_the_same_under_every_frame():
    size = (120, 200)
    overlay, (image, label) = Overlay(size, NAMES, COLOURS), frame(size)
    first, second = overlay(image, label), overlay(255 - image, label)
    np.testing.assert_array_equal(first[120:], second[120:])
    legend = {tuple(pixel) for pixel in first[120:].reshape(-1, 3).tolist()}
    assert set(COLOURS) <= legend
    assert (255, 255, 255) in legend


def test_names_beyond_latin_are_letters_and_not_one_box_for_all():
    """Pillow's own font draws the same box for every letter that it lacks."""

    def legend(name):
        return Overlay((40, 120), [name], [(255, 0, 0)])(
            np.zeros((40, 120, 3), np.uint8), np.zeros((40, 120), np.uint8)
        )

    assert legend("дорога").shape == legend("дарога").shape
    assert not np.array_equal(legend("дорога"), legend("дарога"))
