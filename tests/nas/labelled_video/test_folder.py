import cv2
import numpy as np
import pytest
from PIL import Image

from nas.labelled_video.folder import claim, segmented_recording
from nas.settings.errors import RunError

SIZE = (37, 51)
CLASSES, COLOURS = ("sky", "road", "car"), ((10, 20, 250), (200, 0, 100), (0, 255, 0))
FACTS = {"source": "clip", "working_size": (18, 25)}


def frames(count):
    rng = np.random.default_rng(0)
    for number in range(count):
        yield f"f{number}", np.full((*SIZE, 3), 40 * number, np.uint8), rng.integers(0, 3, SIZE, dtype=np.uint8)


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_labels_hold_class_numbers_and_show_class_colours(tmp_path):
    with segmented_recording(tmp_path, SIZE, CLASSES, COLOURS, rate=5, codec="mp4v") as write:
        for name, image, label in frames(3):
            write(name, image, label)
    for name, _, label in frames(3):
        with Image.open(tmp_path / "labels" / f"{name}.png") as stored:
            np.testing.assert_array_equal(np.array(stored), label)
            np.testing.assert_array_equal(np.array(stored.convert("RGB")), np.array(COLOURS, np.uint8)[label])
    video = cv2.VideoCapture(str(tmp_path / "overlay.mp4"))
    with Image.open(tmp_path / "overlays" / "f2.jpg") as overlay:
        assert overlay.size == (video.get(cv2.CAP_PROP_FRAME_WIDTH), video.get(cv2.CAP_PROP_FRAME_HEIGHT))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    assert len(names(tmp_path)) == 3 + 3 + 1


def test_what_is_finished_stays_when_something_fails(tmp_path):
    def write_two_and_fail():
        with segmented_recording(tmp_path, SIZE, CLASSES, COLOURS, rate=5, codec="mp4v") as write:
            for name, image, label in frames(2):
                write(name, image, label)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_two_and_fail()
    assert names(tmp_path) == ["labels/f0.png", "labels/f1.png", "overlays/f0.jpg", "overlays/f1.jpg"]


def test_the_same_command_may_go_on_until_its_video_is_there(tmp_path):
    for _ in range(2):
        claim(tmp_path / "out", FACTS)
    (tmp_path / "out" / "overlay.mp4").touch()
    with pytest.raises(
        RunError, match=r"out holds these results; name another --output, or replace them with --overwrite"
    ):
        claim(tmp_path / "out", FACTS)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    claim(tmp_path / "out", FACTS)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").touch()
    before = names(tmp_path)
    with pytest.raises(RunError, match="out holds other results; name another --output"):
        claim(tmp_path / "out", FACTS | {"source": "other"})
    for overwrite in (False, True):
        with pytest.raises(RunError, match="photos holds something else than results; remove it or name another"):
            claim(tmp_path / "photos", FACTS, overwrite)
    assert names(tmp_path) == before


def test_overwriting_replaces_results_and_nothing_else(tmp_path):
    claim(tmp_path, FACTS)
    for name in ("labels/f7.png", "overlays/f7.jpg", "overlay.mp4", "notes.txt", "labels/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    claim(tmp_path, FACTS | {"source": "other"}, overwrite=True)
    assert names(tmp_path) == ["labels/notes.txt", "notes.txt", "segment.json"]
    assert "other" in (tmp_path / "segment.json").read_text()
