"""Checks on finding or training the static network of a configuration."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from cache.datasets.clips import VOID, Frame
from cache.errors import DataError
from cache.static.network import load_checkpoint, save_checkpoint
from nas.networks.loading import load_network
from nas.settings.compute import Compute
from nas.settings.config import DataConfig, PretrainConfig, StaticConfig
from nas.settings.errors import RunError
from nas.training.static import ensure as static_training
from nas.training.static.ensure import ensure_static, scores_on, trained_on, training_frames
from nas.training.static.pretraining import Pretraining

CPU = Compute(torch.device("cpu"), None)
CONFIG = PretrainConfig(
    data=DataConfig(dataset="shapes", scale=0.5), static=StaticConfig(epochs=1, batch=8, auxiliary_weight=0), seed=1
)


class Noise:
    """Frames of random labels, 20 to train on in one clip."""

    name, classes, size = "noise", ("a", "b"), (32, 32)
    colours = ((10, 20, 30), (40, 50, 60))

    def frames(self, split):
        return tuple(Frame(f"{split}{i}", "clip", i) for i in range(20 if split == "train" else 2))

    def image(self, frame):
        return np.full((*self.size, 3), frame.number, np.uint8)

    def label(self, frame):
        return np.random.default_rng(frame.number).integers(0, 2, self.size, dtype=np.uint8)

    def fingerprint(self, split):
        return split


@pytest.fixture
def trained(monkeypatch):
    """Trainings that only leave a checkpoint; each one's folder and number of frames."""
    made = []

    def run(training, folder, meta):
        made.append((folder, len(training._train)))
        save_checkpoint(folder / "network.pt", training._network, meta | {"miou": 0.5})

    monkeypatch.setattr(Pretraining, "run", run)
    return made


def test_a_network_is_trained_once_at_the_working_resolution_and_then_found(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    path = ensure_static(CONFIG, Noise(), tmp_path, CPU)
    assert "1 epochs over 20 frames of 16x16" in caplog.text
    _, meta = load_checkpoint(path, classes=2)
    assert (meta["dataset"], meta["size"], meta["encoder"], meta["epoch"]) == ("noise", [16, 16], None, 1)
    assert load_network(path)[1]["colours"] == [[10, 20, 30], [40, 50, 60]]
    written = path.stat().st_mtime_ns
    assert ensure_static(CONFIG, Noise(), tmp_path, CPU) == path
    assert path.stat().st_mtime_ns == written
    assert f"{path}, mIoU {100 * meta['miou']:.2f}" in caplog.text


def test_whatever_changes_the_weights_has_its_own_folder(tmp_path, trained):
    other_data = Noise()
    other_data.fingerprint = lambda split: "other"
    variants = [
        (CONFIG, Noise(), CPU),
        (replace(CONFIG, seed=2), Noise(), CPU),
        (replace(CONFIG, data=DataConfig(dataset="shapes", scale=1.0)), Noise(), CPU),
        (replace(CONFIG, static=replace(CONFIG.static, epochs=2)), Noise(), CPU),
        (replace(CONFIG, static=replace(CONFIG.static, train_on="meta-train")), Noise(), CPU),
        (CONFIG, other_data, CPU),
        (CONFIG, Noise(), Compute(torch.device("cpu"), torch.bfloat16)),
    ]
    for config, data, compute in variants * 2:
        ensure_static(config, data, tmp_path, compute)
    assert len(trained) == len({folder for folder, _ in trained}) == len(variants)


def test_scores_are_quoted_only_of_the_validation_list_and_size_that_they_were_measured_on(tmp_path):
    _, facts = load_checkpoint(ensure_static(CONFIG, Noise(), tmp_path, CPU))
    assert scores_on(facts, Noise(), (16, 16)) == {name: facts[name] for name in ("miou", "fwiou", "mean_accuracy")}
    other = Noise()
    other.fingerprint = lambda split: "other"
    assert scores_on(facts, other, (16, 16)) == scores_on(facts, Noise(), (32, 32)) == {}
    assert scores_on({"miou": 0.5, "size": [16, 16]}, Noise(), (16, 16)) == {}


@pytest.mark.parametrize("part", ["train", "meta-train"])
def test_what_a_network_was_trained_on_is_known_from_its_file_and_not_from_the_settings_at_hand(tmp_path, part):
    config = replace(CONFIG, static=replace(CONFIG.static, train_on=part))
    _, facts = load_checkpoint(ensure_static(config, Noise(), tmp_path, CPU))
    share = config.data.meta_val
    assert trained_on(facts, Noise(), share) == part
    assert trained_on(facts, Noise(), 0.4) == ("train" if part == "train" else None)
    other = Noise()
    other.fingerprint = lambda split: "other"
    assert trained_on(facts, other, share) is trained_on({"dataset": "noise"}, Noise(), share) is None


def test_a_validation_list_that_cannot_be_scored_on_is_found_before_training(tmp_path, trained):
    data, read = Noise(), Noise().label
    data.label = lambda frame: np.full(data.size, VOID, np.uint8) if frame.name.startswith("val") else read(frame)
    with pytest.raises(DataError, match="no pixel of the validation list has a label"):
        ensure_static(CONFIG, data, tmp_path, CPU)
    assert not trained


def test_what_changes_nothing_finds_the_same_network(tmp_path, trained):
    ensure_static(CONFIG, Noise(), tmp_path, CPU)
    machine = replace(CONFIG.machine, workers=3)
    data = replace(CONFIG.data, meta_val=0.3)  # the training list does not depend on it
    ensure_static(replace(CONFIG, machine=machine, data=data), Noise(), tmp_path, CPU)
    assert len(trained) == 1


def test_on_meta_train_no_frame_of_meta_val_is_seen(tmp_path, trained):
    config = replace(
        CONFIG, static=replace(CONFIG.static, train_on="meta-train"), data=replace(CONFIG.data, meta_val=0.2)
    )
    assert [frame.number for frame in training_frames(config, Noise())] == list(range(16))
    assert [frame.number for frame in training_frames(CONFIG, Noise())] == list(range(20))
    ensure_static(config, Noise(), tmp_path, CPU)
    assert trained[0][1] == 16


@pytest.mark.parametrize("damage", ["unfinished", "truncated"])
def test_an_unfinished_or_damaged_network_is_trained_again(tmp_path, trained, damage, caplog):
    path = ensure_static(CONFIG, Noise(), tmp_path, CPU)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-1000])
    else:
        (path.parent / "training.pt").write_bytes(b"")
    ensure_static(CONFIG, Noise(), tmp_path, CPU)
    assert len(trained) == 2
    assert ("training it again" in caplog.text) == (damage == "truncated")


def test_encoder_weights_that_are_not_there_are_a_users_mistake(tmp_path):
    config = replace(CONFIG, static=replace(CONFIG.static, encoder_weights=tmp_path / "absent.pt"))
    with pytest.raises(DataError, match=r"no encoder weights at .*absent\.pt; get them from https"):
        ensure_static(config, Noise(), tmp_path, CPU)


def test_without_weights_and_without_a_network_training_starts_from_scratch_and_says_so(
    tmp_path, trained, monkeypatch, caplog
):
    def unreachable(published, folder):
        raise TimeoutError("timed out")

    monkeypatch.setattr(static_training, "fetch_encoder", unreachable)
    config = replace(CONFIG, data=replace(CONFIG.data, dataset="camvid"))
    ensure_static(config, Noise(), tmp_path, CPU)
    assert "timed out" in caplog.text
    assert "from scratch" in caplog.text
    assert "--encoder-weights" in caplog.text
    assert len(trained) == 1


def test_made_up_data_does_not_ask_the_network(tmp_path, trained, monkeypatch):
    monkeypatch.setattr(static_training, "fetch_encoder", lambda *_: pytest.fail("asked for a download"))
    ensure_static(CONFIG, Noise(), tmp_path, CPU)
    assert len(trained) == 1


def test_a_training_that_diverges_is_a_message_with_a_way_out(tmp_path):
    static = replace(CONFIG.static, encoder_rate=1e30, decoder_rate=1e30, epochs=5)
    with pytest.raises(RunError, match=r"diverged .* lower --static\.encoder-rate"):
        ensure_static(replace(CONFIG, static=static), Noise(), tmp_path, CPU)
