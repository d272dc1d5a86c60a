"""The command `python -m nas.check`: its numbers, what it finds, and its pictures."""

import cv2
import numpy as np
import pytest
from PIL import Image

from cache.datasets.clips import VOID
from cache.datasets.folder import Folder
from cache.datasets.folder_settings import EXAMPLE
from cache.datasets.survey import repeated, take_survey
from cache.errors import DataError
from nas.check import Arguments, main
from nas.reporting.labels.sheet import COLUMNS, LONGEST, draw_sheet, spread


@pytest.fixture
def root(tmp_path):
    """A clip of four frames in each of two splits, the left half street and the right half dog."""
    root, rng = tmp_path / "walks", np.random.default_rng(0)
    for split in ("train", "val"):
        for folder in ("images", "masks"):
            (root / split / "clip" / folder).mkdir(parents=True)
        for number in range(4):
            pixels = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / split / f"clip/images/{number}.png")
            Image.fromarray(np.repeat([[0] * 16 + [1] * 8 + [VOID] * 8], 24, 0).astype(np.uint8)).save(
                root / split / f"clip/masks/{number}.png"
            )
    (root / "dataset.yaml").write_text("name: walks\nclasses: [street, dog]\ncolours: [[0, 0, 255], [255, 0, 0]]")
    return root


def check(root, tmp_path):
    main(Arguments(data_root=root, output=tmp_path / "out", cache_dir=tmp_path / "cache"))


def test_good_data_gets_its_numbers_a_sheet_and_a_page(root, tmp_path, capsys):
    check(root, tmp_path)
    text = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    windows = ["3", "2", "1 window of 4 frames"]  # the last column asks for 5
    assert ["train", "1", "1", "4", "4", "24x32", "1", *windows] in rows
    assert ["street", "50.00", "4", "50.00", "4"] in rows
    assert ["void", "25.00", "4", "25.00", "4"] in rows
    assert "To be mended" not in text
    assert "Suspicious" not in text
    assert "\nNothing has to be mended, and nothing is suspicious.\n" in text
    assert Image.open(tmp_path / "out/check.png").width >= COLUMNS * LONGEST
    page = (tmp_path / "out/check.html").read_text()
    assert "data:image/png;base64" in page
    assert "train/clip/" in page


def test_the_sheet_shows_frames_under_the_colours_of_their_labels(root):
    folder = Folder(root)
    [frame] = spread(folder.frames("val"), 1)
    sheet = draw_sheet(folder, [frame])
    height = LONGEST * 24 // 32
    image = cv2.resize(folder.image(frame), (LONGEST, height), interpolation=cv2.INTER_LINEAR)
    colours = np.repeat(
        [[(0, 0, 255)] * (LONGEST // 2) + [(255, 0, 0)] * (LONGEST // 4) + [(255,) * 3] * (LONGEST // 4)], height, 0
    )
    error = abs(sheet[:height, :LONGEST].astype(int) - (image / 2 + colours / 2))
    assert np.median(error) <= 1


def test_frames_are_spread_over_the_list_and_unlabelled_ones_are_not_shown(root):
    (root / "train/clip/masks/0.png").unlink()
    frames = Folder(root).frames("train")
    assert [frame.number for frame in spread(frames, 2)] == [1, 3]
    assert [frame.number for frame in spread(frames, 9)] == [1, 2, 3]


def test_everything_to_be_mended_is_listed_at_once_and_the_exit_code_says_so(root, tmp_path, capsys):
    (root / "train/clip/images/1.png").write_bytes(b"no image")
    Image.fromarray(np.full((24, 32), 9, np.uint8)).save(root / "train/clip/masks/2.png")
    Image.fromarray(np.zeros((24, 30), np.uint8)).save(root / "val/clip/masks/3.png")
    with pytest.raises(DataError, match="3 things in walks have to be mended"):
        check(root, tmp_path)
    text = capsys.readouterr().out
    for told in ("images/1.png", "masks/2.png holds the value 9", "masks/3.png has size 24x30"):
        assert len([line for line in text.splitlines() if told in line]) == 1
    assert (tmp_path / "out/check.html").exists()


def test_a_split_of_one_class_has_to_be_mended(root, tmp_path, capsys):
    for path in (root / "val/clip/masks").iterdir():
        Image.fromarray(np.zeros((24, 32), np.uint8)).save(path)
    with pytest.raises(DataError, match="1 things in walks"):
        check(root, tmp_path)
    assert "the val split holds one class alone, street" in capsys.readouterr().out


def test_frames_in_two_splits_are_suspicious(root):
    (root / "val/clip/images/2.png").write_bytes((root / "train/clip/images/3.png").read_bytes())
    folder = Folder(root)
    [told] = repeated([take_survey(folder, split) for split in ("train", "val")])
    assert told.startswith("1 frames of the val split are also in the train split, pixel for pixel")
    assert "val/clip/2, which is train/clip/3" in told


def test_frames_of_several_sizes_are_counted(root):
    Image.fromarray(np.zeros((10, 10, 3), np.uint8)).save(root / "val/clip/images/3.png")
    survey = take_survey(Folder(root), "val")
    assert survey.sizes == {(24, 32): 3, (10, 10): 1}
    assert len(survey.problems) == 1


def test_the_help_shows_an_example(command):
    shown = command("check", "--help")
    for line in EXAMPLE.splitlines():
        assert line.strip() in shown.stdout
