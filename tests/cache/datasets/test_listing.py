"""Checks that nothing a person put into a folder is left out without a word."""

import unicodedata

import pytest

from cache.datasets.listing import IMAGE_SUFFIXES, MASK_SUFFIXES, by_stem, folders
from cache.errors import DataError
from cache.images import read_image


@pytest.mark.parametrize(
    "name", ["@eaDir", "__MACOSX", ".ipynb_checkpoints", "Thumbs.db", ".DS_Store", "._1.png", "#recycle"]
)
@pytest.mark.parametrize("is_folder", [True, False])
def test_what_systems_leave_is_no_part_of_the_data(tmp_path, put, picture, caplog, name, is_folder):
    put(tmp_path / "1.png", picture())
    (tmp_path / name).mkdir() if is_folder else (tmp_path / name).touch()
    assert list(by_stem(tmp_path, IMAGE_SUFFIXES)) == ["1"]
    assert folders(tmp_path) == []
    assert caplog.messages == []


@pytest.mark.parametrize("name", ["2.tif", "2.TIFF", "2.gif", "2.npy", "2.jpg"])
def test_pictures_that_are_not_read_are_refused_by_name_and_count(tmp_path, put, picture, name):
    put(tmp_path / "1.png", picture())
    for kind in ("", "x"):
        (tmp_path / f"{kind}{name}").touch()
    with pytest.raises(DataError, match=rf"2 files in .* would be left out, the first is {name}: .* ends in \.png"):
        by_stem(tmp_path, MASK_SUFFIXES)


def test_other_things_are_told_of_with_a_count_and_the_first(tmp_path, put, picture, caplog):
    put(tmp_path / "1.png", picture())
    for name in ("notes.txt", "poses.csv", "README.md"):
        (tmp_path / name).touch()
    (tmp_path / "raw").mkdir()
    assert list(by_stem(tmp_path, IMAGE_SUFFIXES)) == ["1"]
    assert caplog.messages == [f"3 things in {tmp_path} not used, the first is notes.txt"]


@pytest.mark.parametrize("suffix", ["png", "PNG", "jpeg", "webp", "bmp", "ppm"])
def test_every_format_that_can_be_read_is_listed(tmp_path, suffix):
    (tmp_path / f"1.{suffix}").touch()
    assert list(by_stem(tmp_path, IMAGE_SUFFIXES)) == ["1"]


def test_one_name_in_two_spellings_of_unicode_is_one_name(tmp_path):
    """MacOS writes an accent as a letter of its own, other systems do not."""
    for form, folder in (("NFD", "images"), ("NFC", "masks")):
        path = tmp_path / folder / unicodedata.normalize(form, "brücke_1.png")
        path.parent.mkdir()
        path.touch()
    assert by_stem(tmp_path / "images", IMAGE_SUFFIXES).keys() == by_stem(tmp_path / "masks", MASK_SUFFIXES).keys()


def test_a_second_suffix_is_no_part_of_the_name(tmp_path):
    (tmp_path / "frame_1.jpg.png").touch()
    (tmp_path / "frame_2.5.png").touch()
    assert list(by_stem(tmp_path, MASK_SUFFIXES)) == ["frame_1", "frame_2.5"]


def test_links_are_followed_and_one_that_leads_nowhere_is_named_when_it_is_read(tmp_path, put, picture):
    put(tmp_path / "elsewhere/1.png", picture())
    (tmp_path / "clip").mkdir()
    (tmp_path / "clip/1.png").symlink_to(tmp_path / "elsewhere/1.png")
    (tmp_path / "clip/2.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "linked").symlink_to(tmp_path / "clip")
    assert tmp_path / "linked" in folders(tmp_path)
    listed = by_stem(tmp_path / "linked", IMAGE_SUFFIXES)
    assert read_image(listed["1"]).shape == (6, 8, 3)
    with pytest.raises(DataError, match=r"2\.png: it does not exist"):
        read_image(listed["2"])
