"""The command `python -m nas.export`: its files, and what it refuses before it writes any."""

import json
import re

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from baselines.fixed_points import FIXED_POINTS
from cache.errors import DataError
from cache.images import resize_image
from cache.static.network import StaticNetwork
from nas.export import Arguments, main
from nas.networks.heads import build_head
from nas.networks.video_network import VideoNetwork, load_video_network, save_video_network
from nas.settings.errors import RunError

META = {
    "name": "tmanet",
    "dataset": "shapes",
    "classes": ["sky", "road", "car"],
    "colours": [[0, 0, 0], [128, 64, 128], [0, 0, 142]],
    "size": [40, 56],
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        static = StaticNetwork(3, auxiliary=False)
    path = tmp_path_factory.mktemp("trained") / "network.pt"
    save_video_network(path, VideoNetwork(static, build_head(FIXED_POINTS["tmanet"], static.channels, 3, seed=0)), META)
    return path


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("frames"), np.random.default_rng(0)
    for number in range(7):
        Image.fromarray(rng.integers(0, 256, (33, 47, 3), np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.mark.slow
def test_what_is_written_runs_by_the_description_alone(checkpoint, frames, tmp_path):
    """Only numpy, Pillow and onnxruntime, and what `export.json` says."""
    main(Arguments(checkpoint=checkpoint, output=tmp_path / "out", frames=str(frames)))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"first.onnx", "later.onnx", "export.json"}
    about = json.loads((tmp_path / "out" / "export.json").read_text())
    assert {**about, **about["images"]}.items() >= META.items()
    assert (about["opset"], about["checked"]["frames"]) == (18, 6)
    assert about["checked"]["largest_difference"] < 1e-5

    network, _ = load_video_network(checkpoint)
    state, memory = None, {}
    for number in range(7):
        pixels = resize_image(np.array(Image.open(frames / f"{number}.png")), tuple(about["images"]["size"]))
        values = (pixels / 255 - about["images"]["mean"]) / about["images"]["std"]
        images = values.transpose(2, 0, 1)[None].astype(np.float32)
        name = "later.onnx" if number else "first.onnx"
        session = onnxruntime.InferenceSession(tmp_path / "out" / name)
        assert list(about["graphs"][name]["inputs"]) == ["images", *memory]
        names = list(about["graphs"][name]["outputs"])
        outputs = dict(zip(names, session.run(names, {"images": images, **memory}), strict=True))
        logits = outputs.pop("logits")
        memory = {name.removeprefix("next."): tensor for name, tensor in outputs.items()}
        with torch.no_grad():
            tensor = torch.from_numpy(images)
            expected, state = network.later(tensor, state) if number else network.first(tensor)
        np.testing.assert_allclose(logits, expected, atol=1e-5)


@pytest.mark.slow
def test_another_size_and_a_made_up_clip(checkpoint, tmp_path, capsys):
    main(Arguments(checkpoint=checkpoint, output=tmp_path / "out", height=33, width=65))
    about = json.loads((tmp_path / "out" / "export.json").read_text())
    assert about["images"]["size"] == [33, 65]
    assert about["graphs"]["later.onnx"]["outputs"]["logits"]["shape"] == [1, 3, 5, 9]
    assert capsys.readouterr().out == f"{tmp_path / 'out'}\n"


@pytest.mark.parametrize(
    ("flags", "error", "reason"),
    [
        ({"height": 64}, RunError, "--height and --width go together"),
        ({"height": 0, "width": 64}, RunError, "frames cannot be 0 x 64 pixels"),
        ({"frames": "gone"}, DataError, "there is no gone"),
    ],
    ids=["height alone", "no pixels", "no frames"],
)
def test_flags_that_make_no_sense_are_refused(flags, error, reason, checkpoint, tmp_path):
    with pytest.raises(error, match=reason):
        main(Arguments(checkpoint=checkpoint, output=tmp_path / "out", **flags))
    assert not (tmp_path / "out").exists()


def test_a_clip_that_is_too_short_to_fill_the_memory_is_refused(checkpoint, frames, tmp_path):
    with pytest.raises(RunError, match=rf"--frames {re.escape(str(frames))}/\[0-2\]\.png has 3 frames, .* takes 6"):
        main(Arguments(checkpoint=checkpoint, output=tmp_path / "out", frames=f"{frames}/[0-2].png"))


def test_a_checkpoint_that_does_not_say_its_size_needs_one(checkpoint, tmp_path):
    network, meta = load_video_network(checkpoint)
    save_video_network(tmp_path / "network.pt", network, {key: meta[key] for key in meta if key != "size"})
    with pytest.raises(RunError, match="does not say its size; give --height and --width"):
        main(Arguments(checkpoint=tmp_path / "network.pt", output=tmp_path / "out"))


def test_a_file_that_is_no_network_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"there is no file .*network\.pt"):
        main(Arguments(checkpoint=tmp_path / "network.pt", output=tmp_path / "out"))


def test_packages_that_are_not_installed_are_named(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr("nas.export.find_spec", lambda name: None if name.startswith("onnxr") else name)
    with pytest.raises(RunError, match=r"onnxruntime cannot be found; pip install 'dyncell\[export\]'"):
        main(Arguments(checkpoint=checkpoint, output=tmp_path / "out"))
