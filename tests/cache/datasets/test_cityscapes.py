from pathlib import Path

import numpy as np
import pytest

from cache.datasets.catalog import open_dataset
from cache.datasets.cityscapes import Cityscapes
from cache.datasets.clips import VOID, Frame, windows
from cache.errors import DataError

REAL = Path(__file__).parents[3] / "../shared/data/cityscapes_mini"
with_real_data = pytest.mark.skipif(not REAL.is_dir(), reason=f"needs a sample of Cityscapes in {REAL}")


@pytest.fixture
def root(tmp_path, put, picture):
    """Frame 19 labelled in one snippet of Ulm, with raw frames 15 and 17 to 20; one in Jena with none."""
    for name in ("ulm/ulm_000003_000019", "jena/jena_000000_000019"):
        put(tmp_path / f"leftImg8bit/train/{name}_leftImg8bit.png", picture())
        put(tmp_path / f"gtFine/train/{name}_gtFine_labelIds.png", np.arange(48).reshape(6, 8) % 34)
    for number in (15, 17, 18, 19, 20):
        raw = f"ulm/ulm_000003_{number:06d}_leftImg8bit.png"
        put(tmp_path / "leftImg8bit_sequence/train" / raw, picture(seed=number))
    return tmp_path


def test_the_frame_before_a_labelled_one_is_listed_unlabelled(root):
    frames = Cityscapes(root).frames("train")
    assert frames == (
        Frame("jena_000000_000019", "jena_000000_000019", 19),
        Frame("ulm_000003_000018", "ulm_000003_000019", 18, labelled=False),
        Frame("ulm_000003_000019", "ulm_000003_000019", 19),
    )
    assert [(window.positions, window.gap) for window in windows(frames, 2)] == [((1, 2), 1)]


def test_more_frames_before_are_listed_up_to_the_first_hole(root):
    frames = Cityscapes(root, before=5).frames("train")
    assert [frame.number for frame in frames[1:]] == [17, 18, 19]
    assert [frame.number for frame in Cityscapes(root, before=0).frames("train")] == [19, 19]


def test_label_ids_become_train_ids(root):
    """The pairs of the official labels.py; everything else is void."""
    official = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
    cityscapes = Cityscapes(root)
    expected = [official.index(value % 34) if value % 34 in official else VOID for value in range(48)]
    np.testing.assert_array_equal(cityscapes.label(cityscapes.frames("train")[0]).ravel(), expected)
    assert len(cityscapes.classes) == len(cityscapes.colours) == 19


def test_a_raw_frame_is_read_from_the_sequence_and_has_no_label(root, picture):
    cityscapes = Cityscapes(root)
    raw = cityscapes.frames("train")[1]
    np.testing.assert_array_equal(cityscapes.image(raw), picture(seed=18))
    with pytest.raises(DataError, match="ulm_000003_000018 of cityscapes has no label"):
        cityscapes.label(raw)


def test_masks_of_train_ids_are_refused(root, put):
    put(root / "gtFine/train/ulm/ulm_000003_000019_gtFine_labelIds.png", np.full((6, 8), 255))
    with pytest.raises(DataError, match=r"holds the value 255 .* use the published \*_gtFine_labelIds.png"):
        Cityscapes(root).label(Frame("ulm_000003_000019", "ulm_000003_000019", 19))


@pytest.mark.parametrize(
    ("missing", "what"),
    [
        ("gtFine/train/jena/jena_000000_000019_gtFine_labelIds.png", "label"),
        ("leftImg8bit/train/jena/jena_000000_000019_leftImg8bit.png", "image"),
    ],
)
def test_half_a_pair_is_named(root, missing, what):
    (root / missing).unlink()
    with pytest.raises(DataError, match=rf"1 frames .* first is .*jena_000000_000019.*, which has no {what};"):
        Cityscapes(root).frames("train")


def test_missing_data_and_missing_splits_are_named(root):
    with pytest.raises(DataError, match=r"no Cityscapes in .*nowhere.*cityscapes-dataset\.com.*--data-root"):
        Cityscapes(root / "nowhere")
    with pytest.raises(DataError, match=r"no val split: .*leftImg8bit/val is missing"):
        Cityscapes(root).frames("val")


@with_real_data
def test_the_real_sample_is_read():
    cityscapes = Cityscapes(REAL)
    frames = cityscapes.frames("val")
    assert [frame.name for frame in frames if frame.labelled] == [
        "frankfurt_000001_030310",
        "frankfurt_000001_082087",
        "munster_000042_000019",
    ]
    assert cityscapes.size == (1024, 2048)
    assert cityscapes.image(frames[0]).shape == (1024, 2048, 3)
    label = cityscapes.label(frames[0])
    assert cityscapes.classes[np.bincount(label[800, 400:1600][label[800, 400:1600] != VOID]).argmax()] == "road"


def test_a_snippet_has_as_many_earlier_frames_as_the_window_wants(tmp_path, put, picture):
    """As published, the labelled frame is number 19 of raw frames 0 to 29."""
    name = "ulm/ulm_000003_0000"
    put(tmp_path / f"leftImg8bit/train/{name}19_leftImg8bit.png", picture())
    put(tmp_path / f"gtFine/train/{name}19_gtFine_labelIds.png", np.full((6, 8), 7))
    for number in range(30):
        put(tmp_path / f"leftImg8bit_sequence/train/{name}{number:02d}_leftImg8bit.png", picture(seed=number))
    for window in (1, 2, 5, 20):
        cityscapes = open_dataset("cityscapes", tmp_path, window)
        frames = cityscapes.frames("train")
        assert [frame.number for frame in frames] == list(range(20 - window, 20))
        [found] = windows(frames, window)
        assert found.positions == tuple(range(window))
    assert [frame.number for frame in open_dataset("cityscapes", tmp_path, 99).frames("train")] == list(range(20))


def test_earlier_frames_are_no_change_to_what_the_static_network_sees(root):
    pairs, snippets = (open_dataset("cityscapes", root, window) for window in (2, 5))
    assert pairs.fingerprint("train") != snippets.fingerprint("train")
    assert pairs.labelled_fingerprint("train") == snippets.labelled_fingerprint("train")


def test_the_other_files_of_a_city_are_no_reason_for_a_warning(root, caplog):
    (root / "gtFine/train/ulm/ulm_000003_000019_gtFine_polygons.json").touch()
    Cityscapes(root).frames("train")
    assert caplog.messages == []
