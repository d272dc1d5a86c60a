"""The command `python -m nas.segment`, from frames to files and from mistakes to exit code 2."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from cache.images import read_image
from cache.recording import open_recording
from cache.static.network import StaticNetwork, save_checkpoint
from nas.labelled_video.labeller import Labeller
from nas.labelled_video.video_file import video_file
from nas.networks.loading import load_network
from nas.segment import Arguments, main
from nas.settings.command_line import run_command
from nas.settings.compute import Compute

SIZE = (45, 66)


@pytest.fixture(scope="module")
def checkpoint(video_network):
    return video_network.path


@pytest.fixture
def clip(tmp_path):
    folder, rng = tmp_path / "clip", np.random.default_rng(0)
    folder.mkdir()
    for number in range(5):
        Image.fromarray(rng.integers(0, 256, (*SIZE, 3), np.uint8)).save(folder / f"{number}.png")
    return folder


def by_hand(checkpoint, images, size):
    label = Labeller(load_network(checkpoint)[0], size, Compute(torch.device("cpu"), None))
    return [label(image) for image in images]


def labels(output):
    return [np.array(Image.open(path)) for path in sorted((output / "labels").iterdir())]


def frames_of(video):
    capture = cv2.VideoCapture(str(video))
    return capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)


def stopped(monkeypatch, capsys, *words):
    """Exit code and last words of a command line."""
    monkeypatch.setattr(sys, "argv", ["segment", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        run_command("nas.segment", Arguments, None, main)
    return end.value.code, capsys.readouterr().err


def test_a_folder_becomes_label_images_overlays_and_a_video(clip, video_network, checkpoint, tmp_path, capsys):
    output = tmp_path / "out"
    main(Arguments(source=str(clip), checkpoint=checkpoint, output=output))
    assert capsys.readouterr().out == f"{output}\n"
    images = [read_image(clip / f"{number}.png") for number in range(5)]
    np.testing.assert_array_equal(labels(output), by_hand(checkpoint, images, (32, 47)))
    assert all(len(np.unique(label)) > 1 for label in labels(output))
    assert len(list((output / "overlays").iterdir())) == 5
    assert frames_of(output / "overlay.mp4") == (5, 10)
    facts = json.loads((output / "segment.json").read_text())
    assert facts["working_size"] == [32, 47]
    assert facts["classes"] == video_network.facts["classes"]


def test_cuts_are_looked_for_on_request_and_counted(clip, checkpoint, tmp_path, caplog):
    caplog.set_level("INFO")
    for number in (1, 2):
        shutil.copy(clip / "0.png", clip / f"{number}.png")
    main(Arguments(source=str(clip), checkpoint=checkpoint, output=tmp_path / "out", cut=True))
    images = [read_image(clip / f"{number}.png") for number in range(5)]
    scenes = [images[:3], images[3:4], images[4:]]
    expected = [label for scene in scenes for label in by_hand(checkpoint, scene, (32, 47))]
    np.testing.assert_array_equal(labels(tmp_path / "out"), expected)
    assert "key frames after 2 cuts" in caplog.text
    assert json.loads((tmp_path / "out" / "segment.json").read_text())["cut"] is True


def test_a_video_keeps_its_pace_and_may_be_seen_at_its_own_size(checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with video_file(tmp_path / "drive.mp4", (48, 64), 12.5, "mp4v") as append:
        for number in range(5):
            append(np.full((48, 64, 3), 50 * number, np.uint8))
    main(Arguments(source="drive.mp4", checkpoint=checkpoint, scale=1.0))
    output = Path("segmented/drive")
    images = [pixels for _, pixels in open_recording("drive.mp4").readable(skip=False)]
    np.testing.assert_array_equal(labels(output), by_hand(checkpoint, images, (48, 64)))
    assert frames_of(output / "overlay.mp4") == (5, 12.5)


def test_the_static_network_of_pretraining_segments_frame_by_frame(clip, tmp_path):
    save_checkpoint(tmp_path / "static.pt", StaticNetwork(4), {"size": [32, 48], "classes": ["a", "b", "c", "d"]})
    main(Arguments(source=f"{clip}/[0-1].png", checkpoint=tmp_path / "static.pt", output=tmp_path / "out", rate=2.0))
    assert frames_of(tmp_path / "out" / "overlay.mp4") == (2, 2)


def test_a_broken_frame_stops_with_what_is_done_and_the_same_command_can_skip_it(
    clip, checkpoint, tmp_path, monkeypatch, capsys
):
    (clip / "2.png").write_text("broken")
    words = [clip, "--checkpoint", checkpoint, "--output", tmp_path / "out", "--threads", "1"]
    code, message = stopped(monkeypatch, capsys, *words)
    assert code == 2
    assert "error: cannot read the image" in message
    assert "2.png" in message
    assert "--on-broken skip" in message
    assert [path.name for path in sorted((tmp_path / "out" / "labels").iterdir())] == ["0.png", "1.png"]
    assert not (tmp_path / "out" / "overlay.mp4").exists()

    assert stopped(monkeypatch, capsys, *words, "--on-broken", "skip")[0] == 0
    images = [read_image(clip / f"{number}.png") for number in (0, 1, 3, 4)]
    np.testing.assert_array_equal(labels(tmp_path / "out"), by_hand(checkpoint, images, (32, 47)))
    assert frames_of(tmp_path / "out" / "overlay.mp4")[0] == 4

    code, message = stopped(monkeypatch, capsys, *words, "--on-broken", "skip")
    assert code == 2
    assert "holds these results; name another --output, or replace them with --overwrite" in message
    code, message = stopped(monkeypatch, capsys, *words, "--on-broken", "skip", "--overwrite")
    assert code == 0


def test_mistakes_are_one_message_and_leave_nothing(clip, checkpoint, tmp_path, monkeypatch, capsys):
    shutil.copytree(clip, tmp_path / "mixed")
    Image.new("RGB", (20, 20)).save(tmp_path / "mixed" / "9.png")
    (tmp_path / "none.mp4").touch()
    for source, flags, message in (
        (clip, ["--checkpoint", "absent.pt"], "there is no file absent.pt"),
        (clip, ["--checkpoint", __file__], "is not a file of plain tensors"),
        (tmp_path / "absent", [], "there is no"),
        (tmp_path / "none.mp4", [], "none.mp4 is no video"),
        (tmp_path / "mixed", [], "9.png has size 20x20, but"),
        (clip, ["--scale", "0"], "scale must be positive, but got 0"),
        (clip, ["--device", "cuda:99"], "device 'cuda:99' cannot be used"),
        (clip, ["--on-broken", "ask"], "ask"),
    ):
        given = flags if "--checkpoint" in flags else [*flags, "--checkpoint", checkpoint]
        code, said = stopped(monkeypatch, capsys, source, "--output", tmp_path / "out", *given)
        assert code == 2
        assert message in said
        assert not (tmp_path / "out").exists()


def test_help_loads_neither_torch_nor_opencv():
    code = "import sys, nas.segment; print([m for m in ('torch', 'cv2', 'PIL') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
