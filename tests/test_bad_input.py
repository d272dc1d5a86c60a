"""What a person gets wrong is answered in one message with exit code 2: what, where, what to do; and no traceback."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import dyncell
from cache.static.network import StaticNetwork, save_checkpoint
from nas import evaluate, export, segment
from nas.settings.errors import RunError


def refused(result, *words):
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr
    return True


@pytest.fixture
def camvid(tmp_path):
    """Six frames of each split, 48x64, with labels."""
    root, rng = tmp_path / "camvid", np.random.default_rng(0)
    for split in ("train", "val"):
        for folder in (split, f"{split}annot"):
            (root / folder).mkdir(parents=True)
        for number in range(0, 360, 30):
            name = f"{'0001TP' if split == 'train' else '0016E5'}_{number:06d}.png"
            Image.fromarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(root / split / name)
            Image.fromarray(rng.integers(0, 12, (48, 64), dtype=np.uint8)).save(root / f"{split}annot" / name)
    return root


def pretrain(command, camvid, tmp_path):
    flags = ["--data-root", camvid, "--cache-dir", tmp_path / "cache", "--preset", "laptop", "--encoder-weights"]
    return command("pretrain", *flags, tmp_path / "encoder.pt", "--static.epochs", "1")


@pytest.fixture
def encoder(tmp_path):
    """Encoder weights under torchvision's names, which the network has to be given before it reads any data."""
    torch.save({}, tmp_path / "encoder.pt")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--dataset", "camvid", "--data-root", "/nowhere"], ["/nowhere"]),
        (["--dataset", "camvid", "--data-root", "/"], ["train"]),
        (["--dataset", "imagenet"], ["imagenet", "camvid", "shapes"]),
        (["--preset", "lapto"], ["lapto", "laptop"]),
        (["--dataset", "shapes", "--space", "papyrus"], ["papyrus", "paper"]),
        (["--dataset", "shapes", "--space", "/nowhere/space.yaml"], ["/nowhere/space.yaml"]),
        (["--dataset", "shapes", "--scale", "0"], ["scale", "(0, 1]"]),
        (["--dataset", "shapes", "--refresh", "1"], ["refresh", "at least 2", "got 1"]),
        (["--dataset", "shapes", "--refresh", "-5"], ["refresh", "at least 2", "got -5"]),
        (["--dataset", "shapes", "--max-cost", "1.5"], ["max-cost", "(0, 1]", "got 1.5"]),
        (["--dataset", "shapes", "--cost", "money"], ["--cost", "macs", "latency"]),
        (["--dataset", "shapes", "--ppo.clip", "2"], ["ppo.clip"]),
        (["--dataset", "shapes", "--controller.layers", "0"], ["controller.layers", "at least 1", "got (100, 0)"]),
        (["--dataset", "shapes", "--candidate.epochs", "3"], ["candidate.epochs", "even"]),
        (["--dataset", "shapes", "--candidate.epochs", "many"], ["candidate.epochs", "many"]),
        (["--dataset", "shapes", "--device", "tpu9"], ["tpu9"]),
        (["--dataset", "shapes", "--checkpoint", "/nowhere/static.pt"], ["/nowhere/static.pt"]),
        (["--dataset", "shapes", "--encoder", "vgg"], ["vgg", "mobilenet_v2", "hf:NAME_OR_FOLDER"]),
        (
            ["--dataset", "shapes", "--encoder", "hf:/nowhere", "--encoder-weights", "w.pt"],
            ["brings its weights"],
        ),
        (["--dataset", "shapes", "--encoder", "hf:/nowhere"], ["there is no folder /nowhere"]),
        (["--dataset", "shapes", "--fork", "other"], ["--run"]),
        (["--dataset", "shapes", "--run", "/nowhere/run", "--fork", "../other"], ["no run in /nowhere/run"]),
        (["--dataset", "shapes", "--workers", "2", "--executor", "inline"], ["inline", "ray"]),
        (["--dataset", "shapes", "--run", "/proc/run"], ["/proc/run"]),
        (["--dataset", "shapes", "--frobnicate"], ["--frobnicate"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_setting_is_named(command, flags, words, tmp_path):
    places = [] if "--run" in flags or "--fork" in flags else ["--run", tmp_path / "run"]
    assert refused(command("search", *flags, *places, "--cache-dir", tmp_path / "cache"), *words)


@pytest.mark.parametrize("refresh", [1, -1])
@pytest.mark.parametrize(
    "asked",
    [
        lambda refresh: segment.Arguments(source="a", checkpoint=Path("b"), refresh=refresh),
        lambda refresh: export.Arguments(checkpoint=Path("b"), output=Path("c"), refresh=refresh),
        lambda refresh: evaluate.Arguments(checkpoints=(Path("b"),), refresh=(refresh,)),
        lambda refresh: dyncell.load("b", refresh=refresh),
    ],
    ids=["segment", "export", "evaluate", "load"],
)
def test_an_impossible_refresh_is_refused_wherever_it_is_asked_for(asked, refresh):
    with pytest.raises((RunError, ValueError), match=f"at least 2 frames, but got {refresh}"):
        asked(refresh)


def test_a_checkpoint_of_other_classes_is_refused(command, tmp_path):
    save_checkpoint(tmp_path / "static.pt", StaticNetwork(19, auxiliary=False), {"miou": 0.5})
    flags = ["--dataset", "shapes", "--checkpoint", tmp_path / "static.pt", "--run", tmp_path / "run"]
    assert refused(command("search", *flags, "--cache-dir", tmp_path / "cache"), "19 classes", "static.pt")


def test_a_file_that_is_no_checkpoint_is_refused(command, tmp_path):
    (tmp_path / "static.pt").write_bytes(b"PK\x03\x04 nonsense")
    flags = ["--dataset", "shapes", "--checkpoint", tmp_path / "static.pt", "--run", tmp_path / "run"]
    assert refused(command("search", *flags, "--cache-dir", tmp_path / "cache"), "static.pt")


def test_an_unknown_operation_in_a_space_is_named_with_its_file(command, tmp_path):
    space = tmp_path / "mine.yaml"
    space.write_text("blocks: 2\ninputs: [past.dec, cur.layer2]\noperations: [skp]\naggregations: [concat]\n")
    result = command("search", "--dataset", "shapes", "--space", space, "--run", tmp_path / "run")
    assert refused(result, "mine.yaml", "skp", "skip")


def test_nothing_is_left_of_a_refused_search(command, tmp_path):
    command("search", "--dataset", "camvid", "--data-root", "/nowhere", "--run", tmp_path / "run", "--preset", "laptop")
    assert not (tmp_path / "run" / "trials.jsonl").exists()


def test_encoder_weights_of_another_network_are_refused(command, camvid, tmp_path, encoder):
    assert refused(pretrain(command, camvid, tmp_path), "encoder.pt")


def break_image(camvid):
    path = camvid / "train" / "0001TP_000030.png"
    path.write_bytes(path.read_bytes()[:200])


def resize_mask(camvid):
    path = camvid / "trainannot" / "0001TP_000030.png"
    Image.open(path).resize((32, 24)).save(path)


def spoil_label(camvid):
    path = camvid / "trainannot" / "0001TP_000030.png"
    Image.fromarray(np.full((48, 64), 77, np.uint8)).save(path)


def lose_label(camvid):
    (camvid / "trainannot" / "0001TP_000030.png").unlink()


def lose_split(camvid):
    shutil.rmtree(camvid / "val")


def repeat_frame(camvid):
    for folder in ("", "annot"):
        shutil.copy(camvid / f"train{folder}" / "0001TP_000030.png", camvid / f"val{folder}")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (break_image, ["train/0001TP_000030.png"]),
        (resize_mask, ["trainannot/0001TP_000030.png", "24", "48"]),
        (spoil_label, ["trainannot/0001TP_000030.png", "77"]),
        (lose_label, ["0001TP_000030"]),
        (lose_split, ["val"]),
        (repeat_frame, ["train/0001TP_000030.png", "val/0001TP_000030.png", "two splits"]),
    ],
)
def test_damaged_data_is_named_by_file(command, camvid, tmp_path, damage, words):
    damage(camvid)
    save_checkpoint(tmp_path / "static.pt", StaticNetwork(11, auxiliary=False), {"miou": 0.5})
    flags = ["--dataset", "camvid", "--data-root", camvid, "--checkpoint", tmp_path / "static.pt"]
    result = command("search", *flags, "--run", tmp_path / "run", "--cache-dir", tmp_path / "cache")
    assert refused(result, *words)
    assert list((tmp_path / "cache").rglob("*.h5")) == []
    assert not (tmp_path / "run" / "trials.jsonl").exists()


def test_plotting_what_is_no_run_is_refused(command, tmp_path):
    assert refused(command("plot", "--run", tmp_path), str(tmp_path))
