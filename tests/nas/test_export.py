"""The command `python -m nas.export`: its files, and what it refuses before it writes any."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import dyncell
from baselines.fixed_points import FIXED_POINTS
from cache.errors import DataError
from cache.images import read_image
from cache.static.network import StaticNetwork
from nas.export import Arguments, main
from nas.networks.heads import build_head
from nas.networks.onnx_example import PROGRAM
from nas.networks.video_network import VideoNetwork, load_video_network, save_video_network
from nas.settings.errors import RunError

META = {
    "name": "tmanet",
    "dataset": "shapes",
    "classes": ["sky", "road", "car"],
    "colours": [[0, 0, 0], [128, 64, 128], [0, 0, 142]],
    "size": [40, 56],
}


@torch.no_grad()
def save(path, name, encoder):
    """Write a network with random weights, whose biases are such that every class wins somewhere."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        static, noise = StaticNetwork(3, auxiliary=False, encoder=encoder), torch.randn(1, 3, 40, 56)
    network = VideoNetwork(static, build_head(FIXED_POINTS[name], static.channels, 3, seed=0)).eval()
    logits, state = network.first(noise)
    static.classifier.bias -= logits.mean((0, 2, 3))
    network.head.classifier.bias -= network.later(noise, state)[0].mean((0, 2, 3))
    save_video_network(path, network, META)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, small_encoder):
    path = tmp_path_factory.mktemp("trained") / "network.pt"
    save(path, "tmanet", small_encoder)
    return path


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("frames"), np.random.default_rng(0)
    for number in range(7):
        Image.fromarray(rng.integers(0, 256, (33, 47, 3), np.uint8)).save(folder / f"{number}.png")
    return folder


def labels_of_segment(network, paths):
    return [network.segment(read_image(path)) for path in paths]


def labels_of_program(output, paths):
    """Of what lies beside the graphs, run where none of our packages can be found."""
    subprocess.run([sys.executable, "-I", output / "run_onnx.py", *paths], check=True, cwd=output)
    return [np.array(Image.open(path.with_suffix(".labels.png"))) for path in paths]


@pytest.mark.slow
def test_the_program_beside_graphs_of_any_size_agrees_on_every_pixel(checkpoint, frames, tmp_path):
    output = tmp_path / "out"
    main(Arguments(checkpoint=checkpoint, output=output, frames=str(frames)))
    assert {path.name for path in output.iterdir()} == {"first.onnx", "later.onnx", "export.json", "run_onnx.py"}
    about = json.loads((output / "export.json").read_text())
    assert about.items() >= {key: META[key] for key in ("name", "dataset", "classes", "colours")}.items()
    assert (about["opset"], about["checked"]["frames"]) == (18, 6)
    assert about["checked"]["largest_difference"] < 1e-5
    assert (about["images"]["size"], about["images"]["shorter_side"]) == (None, 40)
    assert about["graphs"]["later.onnx"]["inputs"]["images"]["shape"] == [1, 3, "height", "width"]

    network = dyncell.load(checkpoint, device="cpu")
    paths = sorted(frames.glob("?.png"))
    assert all(len(np.unique(labels)) == 3 for labels in labels_of_segment(network, paths))
    network.reset()
    np.testing.assert_array_equal(labels_of_program(output, paths), labels_of_segment(network, paths))
    for path in paths:  # of another shape, from the same graphs
        Image.open(path).crop((3, 0, 33, 33)).save(tmp_path / path.name)
    paths = sorted(tmp_path.glob("?.png"))
    network.reset()
    np.testing.assert_array_equal(labels_of_program(output, paths), labels_of_segment(network, paths))


@pytest.mark.slow
def test_the_program_beside_graphs_of_one_size_agrees_on_every_pixel_too(small_encoder, tmp_path, caplog, capsys):
    checkpoint, output, rng = tmp_path / "network.pt", tmp_path / "out", np.random.default_rng(0)
    save(checkpoint, "lmanet", small_encoder)
    main(Arguments(checkpoint=checkpoint, output=output))
    assert capsys.readouterr().out == f"{output}\n"
    because = "local_correlation is written out for one size"
    assert f"the graphs take frames of 40x56 only: {because}" in caplog.text
    about = json.loads((output / "export.json").read_text())
    assert (about["images"]["size"], about["images"]["one_size_because"]) == ([40, 56], because)
    assert about["graphs"]["later.onnx"]["outputs"]["logits"]["shape"] == [1, 3, 5, 7]
    for number in range(6):
        Image.fromarray(rng.integers(0, 256, (60, 84, 3), np.uint8)).save(tmp_path / f"{number}.png")
    paths = sorted(tmp_path.glob("?.png"))
    network = dyncell.load(checkpoint, device="cpu")
    np.testing.assert_array_equal(labels_of_program(output, paths), labels_of_segment(network, paths))


def test_the_program_is_short():
    assert len(PROGRAM.splitlines()) <= 20


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


def test_a_run_stands_for_the_network_in_it_and_without_one_is_refused(checkpoint, tmp_path):
    folder = tmp_path / "retrained" / "cell0-seed0"
    folder.mkdir(parents=True)
    with pytest.raises(DataError, match="there is no trained network in"):
        main(Arguments(checkpoint=tmp_path, output=tmp_path / "out"))
    (folder / "network.pt").write_bytes(checkpoint.read_bytes())
    with pytest.raises(DataError, match="there is no gone"):  # which is looked for when the network is there
        main(Arguments(checkpoint=tmp_path, output=tmp_path / "out", frames="gone"))


def test_a_file_that_is_no_network_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"there is no file .*network\.pt"):
        main(Arguments(checkpoint=tmp_path / "network.pt", output=tmp_path / "out"))


def test_packages_that_are_not_installed_are_named(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr("nas.export.find_spec", lambda name: None if name.startswith("onnxr") else name)
    with pytest.raises(RunError, match=r"onnxruntime cannot be found; pip install 'dyncell\[export\]'"):
        main(Arguments(checkpoint=checkpoint, output=tmp_path / "out"))
