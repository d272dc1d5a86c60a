"""The command `python -m nas.pretrain`, from files on disk to a checkpoint and from mistakes to exit code 2."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cache.static.mobilenet_v2 import MobileNetV2
from cache.static.network import load_checkpoint
from nas.pretrain import Arguments, main
from nas.settings.command_line import run_command
from nas.settings.config import PretrainConfig

QUICK = ["--static.epochs", "1", "--static.batch", "2", "--static.no-class-weights", "--threads", "1"]


@pytest.fixture(scope="module")
def camvid(tmp_path_factory):
    """CamVid's layout with tiny pictures."""
    root, rng = tmp_path_factory.mktemp("camvid"), np.random.default_rng(0)
    for split, numbers in (("train", range(6)), ("val", range(6, 8))):
        for number in numbers:
            name = f"0001TP_{30 * number:06d}.png"
            for folder, shape, top in ((split, (32, 48, 3), 256), (f"{split}annot", (32, 48), 12)):
                (root / folder).mkdir(exist_ok=True)
                Image.fromarray(rng.integers(0, top, shape, dtype=np.uint8)).save(root / folder / name)
    return root


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "encoder.pt"
    torch.manual_seed(0)
    torch.save(MobileNetV2().state_dict(), path)
    return path


@pytest.mark.slow
def test_it_trains_once_prints_the_checkpoint_and_then_finds_it(command, camvid, encoder, tmp_path):
    words = ["--data-root", camvid, "--cache-dir", tmp_path, "--encoder-weights", encoder, *QUICK]
    first, second = (command("pretrain", *words) for _ in range(2))
    assert first.returncode == second.returncode == 0, first.stderr
    assert "epoch 1/1" in first.stderr
    assert "epoch" not in second.stderr
    assert first.stdout == second.stdout
    network, meta = load_checkpoint(Path(first.stdout.strip()))
    assert network.classes == 11
    assert meta["size"] == [32, 48]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--encoder-weights", "absent.pt"], "there are no encoder weights at absent.pt; get them from https"),
        (["--encoder-weights", __file__], "is not a file of plain tensors"),
        (["--checkpoint", "some.pt"], "--checkpoint some.pt says what to use instead of training"),
        (["--device", "cuda:99"], "device 'cuda:99' cannot be used"),
    ],
    ids=["no weights", "other file", "checkpoint", "device"],
)
def test_a_mistake_is_one_message_and_leaves_no_network(camvid, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.setattr(
        sys, "argv", ["pretrain", "--data-root", str(camvid), "--cache-dir", str(tmp_path), *QUICK, *words]
    )
    with pytest.raises(SystemExit) as stopped:
        run_command("nas.pretrain", Arguments, PretrainConfig, main)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.pt"))
