"""A video without masks and a trained network: search, retraining, evaluation, and on to another camera."""

import re

import cv2
import pytest
import torch

from cache.datasets.shapes import Shapes
from cache.frames import network_input
from cache.static.network import StaticNetwork, load_checkpoint, save_checkpoint, weights_fingerprint
from nas.networks.video_network import load_video_network
from nas.runs.store import read_trials
from nas.training.video.results import best_checkpoint, checkpoints


def film(path, seed):
    """Film 20 frames of made-up shapes, two clips one after the other, at a quarter of their size."""
    shapes = Shapes(seed)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48))
    for frame in shapes.frames("train")[:20]:
        writer.write(cv2.resize(shapes.image(frame)[..., ::-1], (64, 48)))
    writer.release()
    return path


@pytest.fixture(scope="module")
def network(tmp_path_factory, small_encoder):
    path = tmp_path_factory.mktemp("static") / "network.pt"
    torch.manual_seed(0)
    facts = {"classes": Shapes.classes, "colours": Shapes.colours, "size": (48, 64)}
    static, shapes = StaticNetwork(len(Shapes.classes), auxiliary=False, encoder=small_encoder).eval(), Shapes()
    images = network_input([shapes.image(frame) for frame in shapes.frames("train")[:4]], (48, 64), "cpu")
    with torch.no_grad():  # without its mean over pixels no class has the highest logit everywhere
        static.classifier.bias -= static(images).mean((0, 2, 3))
    save_checkpoint(path, static, facts)
    return path


@pytest.fixture
def common(tmp_path):
    return ["--cache-dir", tmp_path / "cache", "--threads", 1]


def succeeded(result):
    assert result.returncode == 0, result.stderr
    words = re.findall(r"\bmIoU %|\bmAcc|\baccuracy\b", result.stdout)
    assert not words, result.stdout
    assert "agreement %" in result.stdout
    return result


@pytest.mark.slow
def test_a_network_and_a_video_make_a_cell_that_is_taken_to_another_camera(command, network, common, tmp_path):
    here, there, run = film(tmp_path / "here.mp4", 0), film(tmp_path / "there.mp4", 1), tmp_path / "run"
    few = ["--blocks", 1, "--trials", 1, "--candidate.epochs", 2, "--fixed-points", "static", "--workers", 1]
    data = ["--dataset", "video", "--data-root", here, "--checkpoint", network]
    succeeded(command("search", *data, "--run", run, *few, *common))
    static, cell, *_ = read_trials(run)  # what follows are confirmations
    assert static.reward == pytest.approx(1)
    assert cell.reward == pytest.approx((cell.metrics["agreement_miou"] * cell.metrics["agreement"]) ** 0.5)
    page = (run / "report.html").read_text()
    assert "label by the network" in page
    assert "mIoU %" not in page

    short = ["--run", run, "--top-k", 1, "--head-epochs", 1, "--epochs", 1, "--batch", 4, "--fixed-points"]
    succeeded(command("retrain", *short, "static", *common))
    retrained = run / "retrained/cell0-seed0/network.pt"
    _, facts = load_video_network(retrained)
    assert (facts["dataset"], facts["size"]) == ("video", [48, 64])
    own = load_checkpoint(run / "retrained/static-seed0/network.pt")[0]
    assert weights_fingerprint(own) == weights_fingerprint(load_checkpoint(network)[0])

    succeeded(command("evaluate", "--checkpoints", run, "--latency-repeats", 0, "--panels", 1, *common))
    adapted = succeeded(command("retrain", *short, "per_frame", "--dataset", "video", "--data-root", there, *common))
    assert "agreement before %" in adapted.stdout
    assert load_video_network(run / "retrained/cell0-there-seed0/network.pt")[1]["before"] > 0
    assert best_checkpoint(run) == retrained
    assert list(checkpoints([run])) == ["cell0", "static"]
    assert "per_frame-there starts from the static network" in adapted.stderr

    labels, graphs = tmp_path / "labels", tmp_path / "graphs"
    segmented = command("segment", there, "--checkpoint", retrained, "--output", labels, "--threads", 1)
    assert segmented.returncode == 0, segmented.stderr
    assert len(list(labels.glob("**/*.png"))) >= 20
    exported = command("export", "--checkpoint", retrained, "--output", graphs)
    assert exported.returncode == 0, exported.stderr
    assert {path.name for path in graphs.glob("*.onnx")} == {"first.onnx", "later.onnx"}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--dataset", "video", "--data-root", "VIDEO"], "--checkpoint"),
        (["--dataset", "video", "--data-root", "nowhere.mp4", "--checkpoint", "NETWORK"], "nowhere.mp4"),
    ],
    ids=["no network", "no video"],
)
def test_bad_input_is_said_before_there_is_a_run(command, flags, words, network, tmp_path):
    known = {"VIDEO": film(tmp_path / "v.mp4", 0), "NETWORK": network}
    result = command("search", *[known.get(flag, flag) for flag in flags], "--run", tmp_path / "run")
    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "run").exists()


def test_a_video_is_checked_with_the_labels_of_a_network(command, network, tmp_path):
    words = ["--dataset", "video", "--data-root", film(tmp_path / "drive.mp4", 0), "--output", tmp_path / "out"]
    words += ["--cache-dir", tmp_path / "cache"]
    refused = command("check", *words)
    assert refused.returncode == 2
    assert "--labelled-by" in refused.stderr
    done = command("check", *words, "--labelled-by", network)
    assert done.returncode == 0, done.stderr
    assert all(f"| {name} " in done.stdout for name in Shapes.classes)
    assert (tmp_path / "out" / "check.html").exists()
