import numpy as np
import pytest

from cache.datasets.clips import VOID, Frame
from cache.datasets.folder import Folder
from cache.errors import DataError


@pytest.fixture
def root(tmp_path, put, picture):
    """One clip of frames 8 to 11, of which 9 and 10 have masks."""
    (tmp_path / "dataset.yaml").write_text("classes: [street, dog, cat]\nvoid: 99\n")
    for number in (8, 9, 10, 11):
        put(tmp_path / f"train/walk/images/cam2_{number}.jpg", picture(seed=number))
    for number in (9, 10):
        put(tmp_path / f"train/walk/masks/cam2_{number}.png", np.arange(48).reshape(6, 8) % 3)
    return tmp_path


def settings(root, text):
    (root / "dataset.yaml").write_text(text)
    return Folder(root)


def test_frames_without_a_mask_are_unlabelled_and_order_is_by_number_not_by_name(root):
    assert Folder(root).frames("train") == (
        Frame("train/walk/cam2_8", "walk", 8, labelled=False),
        Frame("train/walk/cam2_9", "walk", 9),
        Frame("train/walk/cam2_10", "walk", 10),
        Frame("train/walk/cam2_11", "walk", 11, labelled=False),
    )


def test_masks_hold_class_numbers_and_void(root, put):
    put(root / "train/walk/masks/cam2_9.png", [[0, 1, 2, 99, 0, 0, 0, 0]] * 6)
    folder = Folder(root)
    np.testing.assert_array_equal(folder.label(folder.frames("train")[1])[0], [0, 1, 2, VOID, 0, 0, 0, 0])
    assert folder.classes == ("street", "dog", "cat")


def test_an_unknown_value_is_named_with_what_is_known(root, put):
    put(root / "train/walk/masks/cam2_9.png", np.full((6, 8), 3))
    folder = Folder(root)
    with pytest.raises(DataError, match=r"cam2_9.png holds the value 3 .* 0, 1, 2, 99; .* void in dataset.yaml"):
        folder.label(folder.frames("train")[1])


def test_colours_are_read_or_made_up_and_differ(root):
    assert len(set(Folder(root).colours)) == 3
    given = settings(root, "classes: [a, b]\ncolours: [[0, 0, 0], [255, 128, 0]]\n")
    assert given.colours == ((0, 0, 0), (255, 128, 0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("classes: [a, b", "is no YAML"),
        ("classes: " + "[" * 100_000, "is no YAML: it is nested deeper than 50 levels"),
        ("classes: &a [*a, *a]", "is no YAML: it has an alias"),
        ("classes: [!!timestamp x]", "is no YAML"),
        ("[a, b]", "must be a mapping"),
        ("colours: []", "must be a mapping with a list of classes"),
        ("classes: [a, b]\nclases: 1", "unknown key 'clases'"),
        ("classes: [only]", "must be 2 to 255 names"),
        ("classes: [yes, no]", "must be 2 to 255 names"),
        ('classes: [a, "two\\nlines"]', "must be 2 to 255 names of one line"),
        ("classes: [a, a]", "must differ"),
        ("classes: [a, b]\nvoid: 1", "from 2 .* to 255, not 1"),
        ("classes: [a, b]\nvoid: 256", "not 256"),
        ("classes: [a, b]\nvoid: true", "not True"),
        ("classes: [a, b]\ncolours: [[0, 0, 0]]", "must be 2 lists"),
        ("classes: [a, b]\ncolours: [[0, 0, 0], [0, 0, 256]]", "numbers from 0 to 255"),
    ],
)
def test_a_wrong_yaml_is_explained(root, text, message):
    with pytest.raises(DataError, match=message):
        settings(root, text)


def test_missing_pieces_are_named(root, tmp_path_factory):
    with pytest.raises(DataError, match=r"no val split: .*val is missing"):
        Folder(root).frames("val")
    with pytest.raises(DataError, match=r"cannot read .*dataset.yaml: No such file .*--data-root"):
        Folder(root / "nowhere")
    empty = tmp_path_factory.mktemp("empty")
    (empty / "dataset.yaml").write_text("classes: [a, b]")
    with pytest.raises(DataError, match=r"no clips in .*none of the folders"):
        Folder(empty)


def test_a_mask_without_image_a_name_without_number_and_a_number_twice_are_refused(root, put, picture):
    lonely = put(root / "train/walk/masks/cam2_7.png", np.zeros((6, 8)))
    with pytest.raises(DataError, match=r"mask .*cam2_7.png has no image"):
        Folder(root).frames("train")
    lonely.unlink()
    nameless = put(root / "train/walk/images/cover.png", picture())
    with pytest.raises(DataError, match=r"cover\.png does not end in a number"):
        Folder(root).frames("train")
    nameless.rename(root / "train/walk/images/cam3_9.png")
    with pytest.raises(DataError, match="have the same frame number 9"):
        Folder(root).frames("train")


def test_a_split_without_any_mask_and_a_clip_without_images_are_refused(root, put, picture):
    put(root / "val/run/images/1.png", picture())
    with pytest.raises(DataError, match="no labelled frame in its val split"):
        Folder(root).frames("val")
    (root / "test/run").mkdir(parents=True)
    with pytest.raises(DataError, match=r"cannot list the folder .*test/run/images"):
        Folder(root).frames("test")


def test_clips_of_one_name_in_two_splits_stay_apart(root, put, picture):
    put(root / "val/walk/images/cam2_9.png", picture(seed=1))
    put(root / "val/walk/masks/cam2_9.png", np.zeros((6, 8)))
    folder = Folder(root)
    assert folder.image(folder.frames("val")[0]).tolist() == picture(seed=1).tolist()
    assert folder.fingerprint("train") != folder.fingerprint("val")
