"""Checks on retraining: what learns when, what is lost on what, and that a stopped training goes on bit for bit."""

import csv
import dataclasses

import pytest
import torch
from torch.nn import functional
from torch.optim import SGD, Adam

from cache.datasets import shapes
from cache.datasets.clips import VOID
from cache.datasets.shapes import Shapes
from cache.errors import DataError
from cache.static.network import StaticNetwork
from cache.tensor_files import load_tensors, save_tensors
from nas.networks.heads import build_head
from nas.networks.logits import upsampled
from nas.networks.video_network import VideoNetwork, load_video_network
from nas.settings.compute import Compute
from nas.settings.retrain_config import RecipeConfig
from nas.training.losses import cross_entropy
from nas.training.saved_training import SavedTraining
from nas.training.video.data import VideoData
from nas.training.video.retraining import Retraining
from searchspace.choices import Choice
from searchspace.genotype import Block, Genotype

pytestmark = pytest.mark.usefixtures("small_encoder")

CPU = Compute(torch.device("cpu"), None)
SIZE = (24, 32)
SKIP = Choice("skip")
CELL = Genotype((Block(("past.dec", "cur.layer2"), (SKIP, SKIP), Choice("concat")),))
RECIPE = RecipeConfig(head_epochs=1, epochs=2, batch=6, scale_range=(0.8, 1.25))
META = {"name": "some", "dataset": "shapes", "classes": Shapes.classes, "colours": Shapes.colours, "size": SIZE}


@pytest.fixture
def data(monkeypatch):
    for split, clips in (("train", 2), ("val", 1)):
        monkeypatch.setitem(shapes.CLIPS, split, clips)
    data = VideoData.of(Shapes(), SIZE, 3)
    return dataclasses.replace(data, windows=data.windows[::2], clips=(range(3),))  # 8 windows, to save time


def network(genotype=CELL):
    torch.manual_seed(0)
    static = StaticNetwork(len(Shapes.classes), auxiliary=False, encoder="small")
    for _ in range(20):  # so that its statistics fit its activations, which else fade away
        static(torch.randn(4, 3, *SIZE))
    return VideoNetwork(static, build_head(genotype, static.channels, static.classes, seed=0))


def retraining(data, genotype=CELL, seed=0, etc=None, **recipe):
    config = dataclasses.replace(RECIPE, **recipe)
    return Retraining(config, network(genotype), data, CPU, seed, etc=etc)


def trained(folder, data, genotype=CELL, **recipe):
    """The weights after the last epoch."""
    made = retraining(data, genotype, **recipe)
    made.run(folder, META)
    return made._network.state_dict()


def moved(folder, data, **recipe):
    before, after = network().state_dict(), trained(folder, data, **recipe)
    return {name for name in before if not torch.equal(before[name], after[name])}


def equal(one, two):
    return one.keys() == two.keys() and all(torch.equal(value, two[name]) for name, value in one.items())


def curve(folder):
    with (folder / "curve.csv").open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def test_alone_a_cell_learns_and_the_static_network_stays_bit_for_bit(data, tmp_path):
    names = moved(tmp_path, data, head_epochs=2, epochs=0)
    assert {name.split(".")[0] for name in names} == {"head"}
    assert "head.reduce.0.weight" in names


def test_end_to_end_all_but_the_static_networks_statistics_learn(data, tmp_path):
    names = moved(tmp_path, data, head_epochs=0, epochs=1, loss_on="all", static_rate=0.1)
    assert not [name for name in names if name.startswith("static.") and "running" in name]
    assert not {name for name, _ in network().named_parameters()} - names


def test_a_static_rate_of_zero_leaves_the_static_network_as_it_is(data, tmp_path):
    assert {name.split(".")[0] for name in moved(tmp_path, data, static_rate=0.0, epochs=1)} == {"head"}


@pytest.mark.parametrize("genotype", [CELL, None], ids=["cell", "per-frame"])
def test_the_optimisers_are_the_papers_and_each_weight_has_one(data, genotype):
    made = retraining(data, genotype, **dataclasses.asdict(RecipeConfig()))
    alone, together = made._phases
    assert (alone.epochs, together.epochs) == (range(10), range(10, 110))
    [adam], [half, sgd] = alone.optimizers.values(), together.optimizers.values()
    assert (type(adam), type(half), type(sgd)) == (Adam, Adam, SGD)
    assert [optimizer.param_groups[0]["lr"] for optimizer in (adam, half, sgd)] == [8e-3, 4e-3, 5e-4]
    assert sgd.param_groups[0]["momentum"] == 0.9
    held = [id(p) for optimizer in (half, sgd) for p in optimizer.param_groups[0]["params"]]
    assert sorted(held) == sorted(id(p) for p in made._network.parameters())
    assert {id(p) for p in adam.param_groups[0]["params"]} == {id(p) for p in made._network.head.parameters()}


def test_poly_rates_fall_to_nothing_in_each_phase(data, tmp_path):
    made = retraining(data, schedule="poly")
    made.run(tmp_path, META)
    optimizers = [optimizer for phase in made._phases for optimizer in phase.optimizers.values()]
    rates = [group["lr"] for optimizer in optimizers for group in optimizer.param_groups]
    assert rates == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("batches", [1, 2, 5])  # two an epoch: in the first phase, between them, in the second
def test_a_stopped_training_goes_on_to_the_same_network_bit_for_bit(data, tmp_path, monkeypatch, batches):
    straight = trained(tmp_path / "straight", data, schedule="poly")
    read, left = data.train.windows, batches

    def windows(*arguments):
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return read(*arguments)

    monkeypatch.setattr(data.train, "windows", windows)
    with pytest.raises(KeyboardInterrupt):
        retraining(data, schedule="poly").run(tmp_path / "resumed", META)
    monkeypatch.setattr(data.train, "windows", read)
    assert (tmp_path / "resumed" / "training.pt").exists()
    assert equal(straight, trained(tmp_path / "resumed", data, schedule="poly"))
    best = [load_video_network(tmp_path / folder / "network.pt")[0] for folder in ("straight", "resumed")]
    assert equal(*(network.state_dict() for network in best))
    curves = [[row | {"seconds": 0} for row in curve(tmp_path / folder)] for folder in ("straight", "resumed")]
    assert curves[0] == curves[1]


def test_the_kept_network_is_the_best_of_the_curve_and_says_so(data, tmp_path):
    retraining(data, epochs=3).run(tmp_path, META)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curve.csv", "network.pt"]
    rows = curve(tmp_path)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    _, best = load_video_network(tmp_path / "network.pt")
    assert best["miou"] == pytest.approx(max(row["miou"] for row in rows))
    assert best["name"] == "some"


def test_the_parts_of_a_stopped_training_have_names_and_those_of_an_earlier_version_are_refused(
    data, tmp_path, monkeypatch
):
    monkeypatch.setattr(SavedTraining, "finish", lambda training: None)
    retraining(data, epochs=1, schedule="poly").run(tmp_path, META)
    state = load_tensors(tmp_path / "training.pt")
    assert state.keys() == {
        *("network", "alone: head optimizer", "end to end: head optimizer", "end to end: static optimizer"),
        *("alone: head scheduler", "end to end: head scheduler", "end to end: static scheduler", "curve"),
    }
    numbered = {str(number): state[name] for number, name in enumerate(state) if name != "curve"}
    save_tensors(tmp_path / "training.pt", numbered | {"curve": state["curve"]})
    with pytest.raises(DataError, match=r"of another version of dyncell .*finish it with that version, or remove"):
        retraining(data, epochs=1, schedule="poly").run(tmp_path, META)


@pytest.mark.parametrize(
    ("loss_on", "counted"),
    [("later", {1: (1, 2), 0: (1, 2)}), ("all", {1: (0, 1, 2), 0: (1, 2)}), ("last", {1: (2,), 0: (2,)})],
)
@pytest.mark.parametrize("genotype", [CELL, None], ids=["cell", "per-frame"])
def test_the_loss_is_the_sum_over_frames_of_full_resolution_cross_entropy(data, genotype, loss_on, counted):
    made = retraining(data, genotype, loss_on=loss_on)
    windows = data.read(torch.tensor(data.windows[:4]), CPU.device)
    made._network.eval()
    logits, state = made._network.first(windows.images[0])
    frames = [logits]
    for image in windows.images[1:]:
        logits, state = made._network.later(image, state)
        frames.append(logits)
    for static_learns in (False, True):
        losses = [
            cross_entropy(functional.interpolate(frames[t], SIZE, mode="bilinear"), windows.labels[t])
            for t in counted[static_learns]
        ]
        torch.testing.assert_close(made._loss(static_learns, windows), sum(losses))


def test_frames_without_labels_cost_no_upsampling_and_have_a_gradient_of_zero_which_is_not_none(data, monkeypatch):
    made, sizes = retraining(data), []
    windows = data.read(torch.tensor(data.windows[:2]), CPU.device)
    labels = windows.labels.clone()
    labels[:2] = VOID
    sparse = dataclasses.replace(windows, labels=labels)
    told = dataclasses.replace(sparse, labelled=(False, False, True))
    made._network.eval()
    expected = made._loss(True, sparse)
    monkeypatch.setattr("nas.training.video.retraining.upsampled", lambda *args: sizes.append(args) or upsampled(*args))
    torch.testing.assert_close(made._loss(True, told), expected, rtol=0, atol=0)
    assert len(sizes) == 1
    made._loss(True, dataclasses.replace(told, labelled=(False, False, False))).backward()
    assert all(weight.grad is not None and (weight.grad == 0).all() for weight in made._network.head.parameters())


def test_the_last_frames_loss_reaches_the_static_decoder_through_the_chain_of_frames(data):
    made = retraining(data, loss_on="last")
    windows = data.read(torch.tensor(data.windows[:2]), CPU.device)
    made._loss(True, windows).backward()
    assert all(
        p.grad.abs().sum() > 0 for name, p in made._network.static.decoder.named_parameters() if p.grad is not None
    )
    assert made._network.static.classifier.weight.grad is None
    made._network.zero_grad()
    made._loss(False, windows).backward()
    assert all(p.grad is None for p in made._network.static.parameters())


def test_networks_of_one_seed_see_the_same_views_in_the_same_order_and_epochs_and_seeds_differ(data):
    def views(epoch=0, **settings):
        return torch.cat([windows.images for windows in retraining(data, **settings)._batches(epoch)], 1)

    assert torch.equal(views(), views(genotype=None))
    assert not torch.equal(views(), views(epoch=1))
    assert not torch.equal(views(), views(seed=1))
