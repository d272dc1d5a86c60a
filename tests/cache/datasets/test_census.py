"""Checks on what labels hold, and on what is said of it."""

import numpy as np
import pytest
from PIL import Image

import cache.datasets.census as census_module
from cache.datasets.camvid import CamVid
from cache.datasets.census import take_census
from cache.datasets.clips import VOID, Frame, Window, windows
from cache.datasets.findings import require_classes, suspicions, window_lengths
from cache.datasets.folder import Folder
from cache.datasets.shapes import Shapes
from cache.errors import DataError


@pytest.fixture
def root(tmp_path, put, picture):
    """Two clips of three frames with masks of random values 0, 1, 2 and 255, and one frame without a mask."""
    root = tmp_path / "data"
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for number in range(3):
            put(root / f"{split}/walk/images/{number}.png", picture(seed=number))
            if number:
                put(root / f"{split}/walk/masks/{number}.png", rng.choice([0, 1, 2, VOID], (6, 8)))
    (root / "dataset.yaml").write_text("classes: [street, dog, cat]")
    return root


def naive(dataset, split):
    """Pixels of each class and of void, frame by frame, counted one by one."""
    rows = []
    for frame in dataset.frames(split):
        row = [0] * (len(dataset.classes) + 1)
        for value in dataset.label(frame).ravel() if frame.labelled else ():
            row[-1 if value == VOID else value] += 1
        rows.append(row)
    return rows


def test_pixels_are_those_of_every_mask(root, tmp_path):
    folder = Folder(root)
    census = take_census(folder, "train", tmp_path)
    assert census.pixels.tolist() == naive(folder, "train")
    assert census.counts([1, 1]).tolist() == census.pixels[1, :-1].tolist()
    assert census.void() == census.pixels[:, -1].sum()
    assert str(census) == "train: 3 frames, 2 labelled, 1 clips"


def test_shapes_are_counted_too(tmp_path):
    census = take_census(Shapes(), "val", tmp_path)
    assert census.pixels.tolist() == naive(Shapes(), "val")


def test_a_census_is_remembered_until_a_file_changes(root, tmp_path, put, monkeypatch):
    calls = []
    counted = census_module._census_of
    monkeypatch.setattr(census_module, "_census_of", lambda *a: calls.append(1) or counted(*a))
    first = take_census(Folder(root), "train", tmp_path / "census")
    again = take_census(Folder(root), "train", tmp_path / "census")
    assert again.pixels.tolist() == first.pixels.tolist()
    assert len(calls) == 1
    put(root / "train/walk/masks/1.png", np.zeros((6, 8)))
    assert take_census(Folder(root), "train", tmp_path / "census").counts([1]).tolist() == [48, 0, 0]
    for path in (tmp_path / "census").iterdir():
        path.write_text('{"key": "", "pixels": [[1e400]]}')
    assert take_census(Folder(root), "train", tmp_path / "census").counts([1]).tolist() == [48, 0, 0]
    assert len(calls) == 3


@pytest.mark.parametrize("split", ["train", "val"])
def test_every_mask_and_every_size_is_looked_at(root, tmp_path, put, picture, split):
    put(root / f"{split}/walk/images/0.png", picture((6, 8)))
    put(root / f"{split}/walk/masks/2.png", np.full((6, 8), 7))
    with pytest.raises(DataError, match=rf"{split}/walk/masks/2\.png holds the value 7"):
        take_census(Folder(root), split, tmp_path)
    put(root / f"{split}/walk/masks/2.png", np.zeros((6, 8)))
    put(root / f"{split}/walk/images/0.png", picture((6, 9)))
    Folder(root)
    with pytest.raises(DataError, match=r"size"):
        take_census(Folder(root), split, tmp_path)
    assert list(tmp_path.glob("*.json")) == []


def labelled(root, put, value, split="train"):
    for number in (1, 2):
        put(root / f"{split}/walk/masks/{number}.png", value)
    return take_census(Folder(root), split, root.parent / "census")


def test_a_split_of_one_class_is_refused(root, put):
    census = labelled(root, put, np.ones((6, 8)))
    with pytest.raises(DataError, match=r"the train split holds one class alone, dog, .*label the others"):
        require_classes(census, ("street", "dog", "cat"))


def test_masks_of_0_and_255_are_answered_with_what_to_write(root, put):
    (root / "dataset.yaml").write_text("classes: [background, person]")
    census = labelled(root, put, [[0, 255] * 4] * 6)
    with pytest.raises(
        DataError, match=r"one class alone, background, .*255 stands for person .* write 'values: \[0, 255\]'"
    ):
        require_classes(census, ("background", "person"))
    (root / "dataset.yaml").write_text("classes: [background, person]\nvalues: [0, 255]")
    census = labelled(root, put, [[0, 255] * 4] * 6)
    require_classes(census, ("background", "person"))
    assert census.counts().tolist() == [48, 48]


def test_a_split_without_any_class_is_refused(root, put):
    census = labelled(root, put, np.full((6, 8), VOID))
    with pytest.raises(DataError, match=r"the train split holds no class at all \(100 % of its pixels are void\)"):
        require_classes(census, ("street", "dog", "cat"))


def test_a_part_of_a_split_is_judged_by_its_own_frames(root, put):
    put(root / "train/walk/masks/2.png", np.full((6, 8), VOID))
    census = take_census(Folder(root), "train", root.parent / "census")
    require_classes(census, ("street", "dog", "cat"), [1], "the meta-train part")
    with pytest.raises(DataError, match=r"the meta-val part holds no class at all .*--meta-val"):
        require_classes(census, ("street", "dog", "cat"), [2], "the meta-val part")


def test_classes_that_do_not_occur_are_named(root, put):
    put(root / "val/walk/masks/2.png", np.zeros((6, 8)))
    put(root / "val/walk/masks/1.png", np.ones((6, 8)))
    folder = Folder(root)
    found = [take_census(folder, split, root.parent / "census") for split in ("train", "val")]
    [told] = suspicions(found, folder.classes)
    assert told.startswith("cat does not occur in the val split: it does not count in scores")
    train = labelled(root, put, [[0, 1] * 4] * 6)
    assert suspicions([train], folder.classes)[0].startswith("cat does not occur in the train split: no network can")


def test_tags_that_only_images_have_and_much_void_are_suspicious(root, put):
    path, exif = root / "train/walk/images/1.png", Image.Exif()
    exif[0x0112] = 3
    Image.open(path).save(path, exif=exif)
    census = labelled(root, put, [[0, 1, 2, 255, 255, 255, 255, 255]] * 6)
    void, turned = suspicions([census], ("street", "dog", "cat"))
    assert void.startswith("62 % of the labelled pixels of the train split are void")
    assert turned.startswith("1 images of the train split are turned upright by an EXIF tag")


def test_good_data_is_not_suspicious(root, tmp_path):
    folder = Folder(root)
    assert suspicions([take_census(folder, split, tmp_path) for split in ("train", "val")], folder.classes) == []


def test_jittery_numbers_are_told_of(root, put, picture):
    for number in (33, 70, 99, 140, 168, 205, 231):
        put(root / f"train/walk/images/{number}.png", picture(seed=number))
        put(root / f"train/walk/masks/{number}.png", [[0, 1, 2, 255] * 2] * 6)
    folder = Folder(root)
    [told] = suspicions([take_census(folder, "train", root.parent / "census")], folder.classes)
    assert told.startswith("train split: 1 sequences fall into")


def test_windows_are_told_of_by_their_lengths():
    frames = [Frame(f"{name}{n}", name, n) for name, count in (("a", 6), ("b", 2), ("c", 2)) for n in range(count)]
    assert window_lengths(windows(frames, 5), 5) == "2 windows of 5 frames, 2 of 2"
    assert window_lengths(windows(frames[6:], 5), 5) == "2 windows of 2 frames"
    assert window_lengths([], 5) == "no window of 5 frames"
    assert window_lengths([Window((0, 1), 1)], 2) == "1 window of 2 frames"


def test_camvid_layout_is_counted_with_its_own_void(tmp_path, put, picture):
    put(tmp_path / "train/0001TP_006690.png", picture())
    put(tmp_path / "trainannot/0001TP_006690.png", np.arange(48).reshape(6, 8) % 12)
    census = take_census(CamVid(tmp_path), "train", tmp_path / "census")
    assert census.pixels.tolist() == [[4] * 12]
