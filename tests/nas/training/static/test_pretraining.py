"""Checks on the training of the static network: recipe, resuming, which network is kept."""

import csv

import numpy as np
import pytest
import torch
from torch import nn

from cache.datasets.clips import Frame
from cache.errors import DataError
from cache.frames import LabelledFrames
from cache.static.network import StaticNetwork, load_checkpoint
from nas.networks.logits import upsampled
from nas.settings.compute import Compute
from nas.settings.config import StaticConfig
from nas.training.losses import class_weights, cross_entropy
from nas.training.static.pretraining import Pretraining, confusion

CPU = Compute(torch.device("cpu"), None)
SIZE = (32, 48)
RATES = {"optimizer": "adamw", "encoder_rate": 1e-3, "decoder_rate": 1e-3}
RECIPE = RATES | {"batch": 4, "epochs": 3, "validate_every": 1}


class Halves:
    """Bright left or right halves: class 1 is bright, class 0 dark, and the first row is void."""

    def image(self, frame):
        return np.where(self._bright(frame)[..., None], 200, 40).astype(np.uint8).repeat(3, 2)

    def label(self, frame):
        label = self._bright(frame).astype(np.uint8)
        label[0] = 255
        return label

    def _bright(self, frame):
        left = np.arange(SIZE[1]) < SIZE[1] // 2
        return np.broadcast_to(left if frame.number % 2 else ~left, SIZE)


class Stopping(LabelledFrames):
    """Frames whose reading is stopped, as by Ctrl-C, after so many batches."""

    stop_after = 10**9

    def batch(self, positions, device):
        self.stop_after -= 1
        if self.stop_after < 0:
            raise KeyboardInterrupt
        return super().batch(positions, device)


def frames(count, kind=LabelledFrames):
    return kind(Halves(), [Frame(str(i), "clip", i) for i in range(count)], SIZE)


def training(train=None, **recipe):
    return Pretraining(StaticConfig(**(RECIPE | recipe)), train or frames(9), frames(4), 2, CPU, seed=5, encoder=None)


def curve(folder):
    with (folder / "curve.csv").open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


class Unlabelled(Halves):
    """Masks of a value that means void throughout."""

    def label(self, frame):
        return np.full(SIZE, 255, np.uint8)


def test_a_training_list_without_a_labelled_pixel_is_an_error_and_no_network(tmp_path):
    train = LabelledFrames(Unlabelled(), [Frame(str(i), "clip", i) for i in range(8)], SIZE)
    with pytest.raises(DataError, match="no pixel that was trained on has a label"):
        training(train).run(tmp_path, {})
    assert not (tmp_path / "network.pt").exists()


def test_a_stopped_training_goes_on_to_the_same_network_bit_for_bit(tmp_path):
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    training().run(straight, {})
    train = frames(9, Stopping)
    train.stop_after = 3  # in the middle of the second epoch of two steps each
    with pytest.raises(KeyboardInterrupt):
        training(train).run(resumed, {})
    assert (resumed / "training.pt").exists()
    training().run(resumed, {})
    weights = [load_checkpoint(folder / "network.pt")[0].state_dict() for folder in (straight, resumed)]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    curves = [[row | {"seconds": 0} for row in curve(folder)] for folder in (straight, resumed)]
    assert curves[0] == curves[1]
    assert [row["epoch"] for row in curves[0]] == [1, 2, 3]


def test_the_kept_network_is_the_best_of_the_curve_and_says_so(tmp_path):
    training(epochs=6, encoder_rate=2e-2, decoder_rate=2e-2).run(tmp_path, {"dataset": "halves"})
    network, meta = load_checkpoint(tmp_path / "network.pt", classes=2)
    best = max(curve(tmp_path), key=lambda row: row["miou"])
    assert meta == {"dataset": "halves"} | {k: best[k] for k in ("epoch", "miou", "fwiou", "mean_accuracy")}
    assert confusion(network, frames(4), 4, CPU).miou() == pytest.approx(best["miou"], abs=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curve.csv", "network.pt"]


def test_it_learns(tmp_path):
    training(frames(16), epochs=12, scale_range=(1.0, 1.0)).run(tmp_path, {})
    assert curve(tmp_path)[-1]["loss"] < 0.5 * curve(tmp_path)[0]["loss"]


def test_validation_is_at_the_working_resolution_with_bilinear_logits():
    torch.manual_seed(0)
    network, data = StaticNetwork(2), frames(4)
    matrix = confusion(network, data, 3, CPU)
    images, labels = data.batch(range(4), CPU.device)
    with torch.inference_mode():
        pred = nn.Upsample(SIZE, mode="bilinear")(network.eval()(images)).argmax(1)
    known = labels != 255
    expected = [[int(((labels == row) & (pred == column) & known).sum()) for column in (0, 1)] for row in (0, 1)]
    assert matrix.counts.tolist() == expected


def test_the_rates_follow_the_poly_schedule():
    made = training(epochs=5)  # of two steps
    rates = []
    for _ in range(10):
        rates.append(made._optimizer.param_groups[0]["lr"])
        made._optimizer.step()
        made._scheduler.step()
    np.testing.assert_allclose(rates, [1e-3 * (1 - step / 10) ** 0.9 for step in range(10)])
    assert made._optimizer.param_groups[0]["lr"] == 0


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_encoder_and_decoder_have_their_own_rates_and_only_kernels_decay(optimizer):
    made = training(optimizer=optimizer, encoder_rate=0.1, decoder_rate=0.2, weight_decay=0.3)
    groups = made._optimizer.param_groups
    setting = {id(p): (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    for name, parameter in made._network.named_parameters():
        rate = 0.1 if name.startswith("encoder.") else 0.2
        assert setting.pop(id(parameter)) == (rate, 0.3 if parameter.ndim == 4 else 0.0), name
    assert not setting


def test_the_loss_adds_weighted_auxiliary_heads_to_full_resolution_cross_entropy():
    made = training(frames(9), auxiliary_weight=0.3, class_weights=True)
    images, labels = frames(4).batch(range(4), CPU.device)
    counts = torch.tensor([(frames(9).batch(range(9), CPU.device)[1] == c).sum() for c in (0, 1)])
    weights = class_weights(counts)
    made._network.eval()
    main, *heads = made._network.forward_with_auxiliary(images)
    expected = cross_entropy(upsampled(main, SIZE), labels, weights)
    for logits in heads:
        stride = SIZE[0] // logits.shape[-2]
        centres = labels[:, stride // 2 :: stride, stride // 2 :: stride]
        expected = expected + 0.3 * cross_entropy(logits, centres, weights)
    torch.testing.assert_close(made._loss((images, labels)), expected)


def test_without_auxiliary_weight_there_are_no_heads():
    made = training(auxiliary_weight=0)
    assert len(made._network.auxiliary) == 0
    images, labels = frames(4).batch(range(4), CPU.device)
    assert made._loss((images, labels)).isfinite()


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_encoder_norms_keep_their_statistics_and_the_decoders_learn_them(tmp_path, frozen):
    made = training(freeze_encoder_norm=frozen, epochs=2)
    before = {name: value.clone() for name, value in made._network.state_dict().items() if "running_mean" in name}
    made.run(tmp_path, {})
    after = load_checkpoint(tmp_path / "network.pt")[0].state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert any(name.startswith("encoder.") for name in moved) is not frozen
    assert any(name.startswith("decoder.") for name in moved)
