"""Checks on a head that learns alone from cached features, against a loop over images."""

import weakref
from dataclasses import replace

import pytest
import torch
import yaml
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_

from cache.datasets import shapes
from cache.datasets.census import take_census
from cache.datasets.clips import VOID, windows
from cache.datasets.shapes import Shapes
from cache.frames import network_input
from cache.images import resize_label
from cache.static.network import FEATURES, LOW, StaticNetwork, load_checkpoint, save_checkpoint
from cache.tensor_files import load_tensors
from nas.networks.heads import head_on
from nas.networks.video_network import VideoNetwork, load_video_network, save_video_network
from nas.settings.compute import Compute
from nas.settings.config_files import write_mapping
from nas.settings.errors import RunError
from nas.settings.retrain_config import RecipeConfig, RetrainConfig
from nas.settings.seeding import stream
from nas.training.candidates.clips import Clips
from nas.training.candidates.teaching import Teaching
from nas.training.losses import class_weights
from nas.training.saved_training import SavedTraining
from nas.training.video.ensure import VideoTraining
from nas.training.video.inputs import read_inputs
from nas.training.video.retraining import Retraining
from searchspace.choices import Choice
from searchspace.genotype import Block, Genotype

CPU = Compute(torch.device("cpu"), None)
SIZE, EIGHTH = (48, 64), (6, 8)
SKIP = Choice("skip")
CELL = Genotype((Block(("past.dec", "cur.layer3"), (SKIP, SKIP), Choice("concat")),))
HALVED = Genotype((Block(("past.dec", "low.layer3"), (SKIP, SKIP), Choice("concat")),))
RECIPE = RecipeConfig(
    **{"alone_on": "features", "head_epochs": 1, "epochs": 0, "batch": 4, "loss_on": "all"},
    **{"dec_weight": 0.5, "logit_weight": 0.7, "label_weight": 0.3, "class_weights": True},
    **{"head_optimizer": "sgd", "head_rates": (1e-2, 5e-3)},  # the first steps of Adam ask for a gradient's sign alone
)


@pytest.fixture(scope="module")
def static(tmp_path_factory, small_encoder):
    path = tmp_path_factory.mktemp("static") / "network.pt"
    torch.manual_seed(0)
    network = StaticNetwork(len(Shapes.classes), auxiliary=False, encoder=small_encoder)
    for _ in range(20):  # so that its statistics fit its activations, which else fade away
        network(torch.randn(4, 3, *SIZE))
    save_checkpoint(path, network, {})
    return path


@pytest.fixture
def training(monkeypatch, static, tmp_path):
    monkeypatch.setitem(shapes.CLIPS, "train", 2)
    monkeypatch.setitem(shapes.CLIPS, "val", 1)

    def make(low=(), **recipe):
        config, cache = RetrainConfig(retrain=replace(RECIPE, **recipe)), tmp_path / "cache"
        rest = {"static_checkpoint": static, "cache_dir": cache, "low": low, "compute": CPU}
        census = take_census(Shapes(), "train", cache)
        return VideoTraining(config, read_inputs(config, Shapes(), census, size=SIZE, window=3, refresh=0, **rest), CPU)

    return make


def weights_by_hand(data):
    """Weigh the classes of all training labels."""
    labels = [torch.from_numpy(data.label(frame).copy()).flatten().long() for frame in data.frames("train")]
    counts = torch.stack([torch.bincount(label[label != VOID], minlength=len(data.classes)) for label in labels]).sum(0)
    return class_weights(counts)


def loss_by_hand(static, head, data, frames, weights):
    """Add up the terms over the later ones of `frames`, a list of a batch's frames at each time."""
    loss, state = torch.zeros(()), None
    for shown in frames:
        with torch.no_grad():
            images = network_input([data.image(frame) for frame in shown], SIZE, "cpu")
            features = static.features(images, {*FEATURES, *LOW})
            features = {name: value.half().float() for name, value in features.items()}  # as they are kept
            taught = functional.softmax(static.classifier(features["dec"]), 1)
        if state is None:
            state = head.init_state(features)
            continue
        dec, state = head.step(features, state)
        logits, known = head.classifier(dec), features["dec"]
        labels = torch.stack([torch.from_numpy(resize_label(data.label(frame), EIGHTH)).long() for frame in shown])
        divergence = functional.kl_div(functional.log_softmax(logits, 1), taught, reduction="sum") / labels.numel()
        loss = loss + RECIPE.dec_weight * (dec - known).square().sum() / known.square().sum()
        loss = loss + RECIPE.logit_weight * divergence
        loss = loss + RECIPE.label_weight * functional.cross_entropy(logits, labels, weights, ignore_index=VOID)
    return loss


def learn_by_hand(static, head, seed):
    """Train a head for one epoch on whole images at 1/8; the order of windows is that of every retraining."""
    data = Shapes()
    frames = data.frames("train")
    found, weights = [window.positions for window in windows(frames, 3)], weights_by_hand(data)
    optimizer = torch.optim.SGD(head.parameters(), RECIPE.head_rates[0], momentum=0.9)
    draw = torch.Generator().manual_seed(stream(seed, "retraining", "epoch", 0))
    order = torch.randperm(len(found), generator=draw).tolist()
    head.train()
    for start in range(0, len(order), RECIPE.batch):
        batch = [found[place] for place in order[start : start + RECIPE.batch]]
        optimizer.zero_grad()
        shown = [[frames[window[time]] for window in batch] for time in range(3)]
        loss_by_hand(static, head, data, shown, weights).backward()
        clip_grad_norm_(head.parameters(), RECIPE.clip_norm)
        optimizer.step()


def flat(head):
    return torch.cat([weight.detach().flatten() for weight in head.parameters()])


@pytest.mark.parametrize(
    ("genotype", "low"), [(CELL, ()), (HALVED, LOW), (None, ())], ids=["cell", "halved frames", "per-frame"]
)
def test_an_epoch_on_features_is_one_on_images_without_views_at_an_eighth(training, static, tmp_path, genotype, low):
    training(low).ensure(tmp_path / "net", "some", genotype, seed=3)
    network, meta = load_video_network(tmp_path / "net" / "network.pt")
    known, _ = load_checkpoint(static)
    expected = head_on(known, genotype, stream(3, "retraining", "head"))
    before = flat(expected)
    learn_by_hand(known.freeze(), expected, seed=3)
    moved = (flat(expected) - before).norm()
    assert moved > 0.01
    assert (flat(network.head) - flat(expected)).norm() < 0.01 * moved
    kept = {name: value for name, value in known.state_dict().items() if not name.startswith("classifier.")}
    assert all(torch.equal(value, network.static.state_dict()[name]) for name, value in kept.items())
    assert meta["epoch"] == 1


@pytest.mark.parametrize("steps", [1, 7])  # in the first epoch, in a later one
def test_a_training_stopped_on_features_goes_on_to_the_same_network_bit_for_bit(training, tmp_path, monkeypatch, steps):
    recipe = {"head_epochs": 2, "epochs": 1, "schedule": "poly", "head_optimizer": "adam"}
    teach, left = Teaching.__call__, steps

    def stop(*arguments):
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return teach(*arguments)

    monkeypatch.setattr(SavedTraining, "finish", lambda training: None)  # so that the last state stays
    training(**recipe).ensure(tmp_path / "straight", "some", CELL, seed=0)
    monkeypatch.setattr(Teaching, "__call__", stop)
    with pytest.raises(KeyboardInterrupt):
        training(**recipe).ensure(tmp_path / "resumed", "some", CELL, seed=0)
    monkeypatch.setattr(Teaching, "__call__", teach)
    assert len(load_tensors(tmp_path / "resumed" / "training.pt")["curve"]) < 2
    training(**recipe).ensure(tmp_path / "resumed", "some", CELL, seed=0)
    straight, resumed = (load_tensors(tmp_path / folder / "training.pt") for folder in ("straight", "resumed"))
    assert all(torch.equal(value, resumed["network"][name]) for name, value in straight["network"].items())
    assert [row | {"seconds": 0} for row in straight["curve"]] == [row | {"seconds": 0} for row in resumed["curve"]]


def test_features_are_let_go_before_all_weights_learn(training, tmp_path, monkeypatch):
    held, end_to_end = [], Retraining._loss

    def remember(*arguments):
        clips = Clips(*arguments)
        held.append(weakref.ref(clips))
        return clips

    def look(*arguments):
        assert [clips() for clips in held] == [None]
        return end_to_end(*arguments)

    monkeypatch.setattr("nas.training.video.ensure.Clips", remember)
    monkeypatch.setattr(Retraining, "_loss", look)
    assert training(epochs=1).ensure(tmp_path / "net", "some", CELL, seed=0)
    assert len(held) == 1


def test_a_cell_whose_halved_frames_are_not_cached_is_refused_before_it_learns(training, tmp_path):
    with pytest.raises(RunError, match=r"the cell reads low\.layer3, which is not cached; use --alone-on images"):
        training().ensure(tmp_path / "net", "some", HALVED, seed=0)
    assert not (tmp_path / "net" / "training.pt").exists()


def test_a_network_with_another_static_part_is_refused(training, tmp_path):
    torch.manual_seed(5)
    static = StaticNetwork(len(Shapes.classes), auxiliary=False, encoder="small")
    facts = {"name": "some", "dataset": "shapes", "classes": Shapes.classes, "colours": Shapes.colours, "size": SIZE}
    save_video_network(tmp_path / "start.pt", VideoNetwork(static, head_on(static, CELL, seed=0)), facts)
    with pytest.raises(RunError, match="features are of another static network than this one's"):
        training().ensure(tmp_path / "net", "some", CELL, 0, tmp_path / "start.pt")


def test_without_an_epoch_alone_no_feature_is_made(training, tmp_path):
    assert training(head_epochs=0, epochs=1)
    assert not (tmp_path / "cache" / "features").exists()


def test_a_network_of_before_there_was_the_choice_learnt_from_images(training, tmp_path):
    settings = tmp_path / "net" / "settings.yaml"
    training(alone_on="images").ensure(tmp_path / "net", "some", None, seed=0)
    written = yaml.safe_load(settings.read_text())
    del written["retrain"]["alone_on"]
    write_mapping(settings, written)
    before = (tmp_path / "net" / "network.pt").read_bytes()
    training(alone_on="images").ensure(tmp_path / "net", "some", None, seed=0)
    assert (tmp_path / "net" / "network.pt").read_bytes() == before
    with pytest.raises(RunError, match=r"retrain\.alone_on: images in the run, features now"):
        training().ensure(tmp_path / "net", "some", None, seed=0)
