"""What every data set promises; a new one is held to it by being listed, with a writer of frames if it is files.

Frames are written in another order than that of time, and their numbers sort otherwise as words than as numbers.
"""

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cache.datasets.catalog import BY_NETWORK, MADE_UP, ON_DISK, open_dataset
from cache.datasets.clips import SPLITS, VOID, windows
from cache.datasets.video import Video
from cache.errors import DataError

SIZE = (6, 8)
NUMBERS = (100, 9, 11, 10)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def write_camvid(root, split, number, image, label):
    save(root / split / f"0001{split}_{number:06d}.png", image)
    save(root / f"{split}annot" / f"0001{split}_{number:06d}.png", np.where(label == VOID, 11, label))


def write_cityscapes(root, split, number, image, label):
    drive = f"ulm/ulm{split}_{number:06d}"
    save(root / "leftImg8bit" / split / f"{drive}_000019_leftImg8bit.png", image)
    save(root / "leftImg8bit_sequence" / split / f"{drive}_000018_leftImg8bit.png", image)
    save(root / "gtFine" / split / f"{drive}_000019_gtFine_labelIds.png", np.where(label == VOID, 0, 7 + label))


def write_folder(root, split, number, image, label):
    (root / "dataset.yaml").write_text("classes: [street, dog]\nvoid: 99\n")
    save(root / split / "walk" / "images" / f"{number}.png", image)
    save(root / split / "walk" / "images" / f"{number + 1000}.png", image)  # has no mask
    save(root / split / "walk" / "masks" / f"{number}.png", np.where(label == VOID, 99, label))


WRITERS = {"camvid": write_camvid, "cityscapes": write_cityscapes, "folder": write_folder}


def pixels_of(split, number):
    """Make up an image (H, W, 3) and a label (H, W) of two classes and void, others for every frame."""
    random = np.random.default_rng((SPLITS.index(split), number))
    return random.integers(0, 256, (*SIZE, 3)), random.choice([0, 1, VOID], SIZE)


def write(name, root, split, number, pixels=None):
    WRITERS[name](root, split, number, *(pixels or pixels_of(split, number)))


def on_disk(name, root):
    for split in SPLITS:
        for number in NUMBERS:
            write(name, root, split, number)
    return root


@dataclass
class Halves:
    """A network of two classes: bright pixels, and dark ones."""

    path: Path = Path("halves.pt")
    fingerprint: str = "halves"
    classes: tuple[str, ...] = ("dark", "bright")
    colours: tuple[tuple[int, int, int], ...] = ((0, 0, 0), (255, 255, 255))
    height: int | None = None

    def label(self, image):
        return (image.mean(2) > 127).astype(np.uint8)


def filmed(root):
    for number in range(20):
        save(root / f"{number}.png", pixels_of("train", number)[0])
    return Video(root, Halves())


@pytest.fixture(params=[*ON_DISK, *MADE_UP, BY_NETWORK])
def dataset(request, tmp_path):
    if request.param == BY_NETWORK:
        return filmed(tmp_path / "walk")
    return open_dataset(request.param, on_disk(request.param, tmp_path) if request.param in ON_DISK else None)


def splits_of(dataset):
    """Name the splits that a data set shall have: a video has nobody's labels to be tested on."""
    return [split for split in SPLITS if dataset.name != BY_NETWORK or split != "test"]


def test_every_data_set_on_disk_has_a_writer():
    assert WRITERS.keys() == ON_DISK.keys()


def test_classes_have_a_name_and_a_colour_each(dataset):
    assert len(set(dataset.classes)) == len(dataset.classes) == len(dataset.colours) <= VOID
    assert len(set(dataset.colours)) == len(dataset.colours)
    assert all(len(colour) == 3 and min(colour) >= 0 and max(colour) <= 255 for colour in dataset.colours)


def test_splits_hold_frames_and_share_none(dataset):
    names = [frame.name for split in splits_of(dataset) for frame in dataset.frames(split)]
    assert all(dataset.frames(split) for split in splits_of(dataset))
    assert len(set(names)) == len(names)


def test_frames_come_sequence_after_sequence_in_time_order(dataset):
    for split in splits_of(dataset):
        frames = dataset.frames(split)
        sequences = [sequence for sequence, _ in groupby(frame.sequence for frame in frames)]
        assert len(set(sequences)) == len(sequences)
        for _, group in groupby(frames, lambda frame: frame.sequence):
            numbers = [frame.number for frame in group]
            assert numbers == sorted(set(numbers))
        assert windows(frames, 2)


def some_frames(dataset):
    return [frame for split in splits_of(dataset) for frame in dataset.frames(split)[:8]]


def test_images_are_rgb_of_the_size_that_it_publishes(dataset):
    for frame in some_frames(dataset):
        image = dataset.image(frame)
        assert (image.shape, image.dtype) == ((*dataset.size, 3), np.uint8)


def test_labels_hold_classes_and_void_alone_and_are_where_a_frame_says_so(dataset):
    allowed = {*range(len(dataset.classes)), VOID}
    for frame in some_frames(dataset):
        if frame.labelled:
            label = dataset.label(frame)
            assert (label.shape, label.dtype) == (dataset.size, np.uint8)
            assert set(np.unique(label).tolist()) <= allowed
        else:
            with pytest.raises(DataError, match=frame.name):
                dataset.label(frame)


@pytest.mark.parametrize("name", ON_DISK)
def test_every_frame_on_disk_is_read_as_it_was_written(name, tmp_path):
    dataset = open_dataset(name, on_disk(name, tmp_path))
    for split in SPLITS:
        found = [frame for frame in dataset.frames(split) if frame.labelled]
        read = [(dataset.image(frame), dataset.label(frame)) for frame in found]
        for (image, label), number in zip(read, sorted(NUMBERS), strict=True):
            expected_image, expected_label = pixels_of(split, number)
            np.testing.assert_array_equal(image, expected_image)
            np.testing.assert_array_equal(label, expected_label)


def fingerprints(name, root):
    dataset = open_dataset(name, root)
    return [dataset.fingerprint(split) for split in SPLITS]


def change_image(name, root):
    image, label = pixels_of("val", 10)
    write(name, root, "val", 10, (255 - image, label))


def change_label(name, root):
    image, label = pixels_of("val", 10)
    write(name, root, "val", 10, (image, np.roll(label, 1)))


def add_frame(name, root):
    write(name, root, "val", 12)


def remove_frame(name, root):
    for path in [path for path in root.rglob("*10*.png") if "val" in str(path.relative_to(root))]:
        path.unlink()


@pytest.mark.parametrize("change", [change_image, change_label, add_frame, remove_frame])
@pytest.mark.parametrize("name", ON_DISK)
def test_a_fingerprint_changes_with_what_a_split_holds_and_with_nothing_else(name, change, tmp_path):
    before = fingerprints(name, on_disk(name, tmp_path))
    assert fingerprints(name, tmp_path) == before
    assert len(set(before)) == len(SPLITS)
    change(name, tmp_path)
    after = fingerprints(name, tmp_path)
    assert [old == new for old, new in zip(before, after, strict=True)] == [split != "val" for split in SPLITS]


@pytest.mark.parametrize("name", MADE_UP)
def test_the_fingerprint_of_made_up_data_stays_and_another_seed_has_another(name):
    first, again = open_dataset(name, None), open_dataset(name, None)
    other = type(first)(seed=1)
    for split in SPLITS:
        assert first.fingerprint(split) == again.fingerprint(split) != other.fingerprint(split)


@pytest.mark.parametrize("name", ON_DISK)
def test_a_split_that_is_not_there_is_named(name, tmp_path):
    write(name, tmp_path, "train", 9)
    dataset = open_dataset(name, tmp_path)
    assert dataset.size == SIZE
    for split in ("val", "test"):
        with pytest.raises(DataError, match=f"{split} split"):
            dataset.frames(split)
