"""Checks on the folders of retrained networks."""

import csv
import logging
from dataclasses import replace

import pytest
import torch
import yaml

from baselines.fixed_points import FIXED_POINTS
from cache.datasets import shapes
from cache.datasets.census import take_census
from cache.datasets.shapes import Shapes
from cache.errors import DataError
from cache.static.network import StaticNetwork, load_checkpoint, save_checkpoint
from nas.networks.video_network import load_video_network
from nas.settings.compute import Compute
from nas.settings.errors import RunError
from nas.settings.retrain_config import EtcConfig, RecipeConfig, RetrainConfig
from nas.training.video.ensure import VideoTraining
from nas.training.video.inputs import read_inputs

CPU = Compute(torch.device("cpu"), None)
SIZE = (24, 32)
RECIPE = RecipeConfig(head_epochs=1, epochs=1, batch=8, class_weights=True)


@pytest.fixture(scope="module")
def static(tmp_path_factory, small_encoder):
    path = tmp_path_factory.mktemp("static") / "network.pt"
    torch.manual_seed(0)
    save_checkpoint(path, StaticNetwork(len(Shapes.classes), auxiliary=False, encoder=small_encoder), {})
    return path


@pytest.fixture
def training(monkeypatch, static, tmp_path):
    for split in ("train", "val"):
        monkeypatch.setitem(shapes.CLIPS, split, 1)

    def make(etc=None, checkpoint=static, adapted=False, **recipe):
        config = RetrainConfig(retrain=replace(RECIPE, **recipe), etc=etc or EtcConfig())
        cache = tmp_path / "cache"
        census = take_census(Shapes(), "train", cache)
        rest = {"static_checkpoint": checkpoint, "cache_dir": cache, "adapted": adapted, "compute": CPU}
        inputs = read_inputs(config, Shapes(), census, size=SIZE, window=3, refresh=0, **rest)
        return VideoTraining(config, inputs, CPU)

    return make


def test_a_network_is_trained_once_and_starts_from_the_static_one(training, static, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    meta = training(epochs=0).ensure(tmp_path / "net", "some", FIXED_POINTS["tmanet_t1"], seed=1)
    assert {path.name for path in (tmp_path / "net").iterdir() if path.suffix != ".lock"} == {
        *("network.pt", "curve.csv", "settings.yaml")
    }
    assert (meta["name"], meta["dataset"], meta["size"], meta["seed"]) == ("some", "shapes", list(SIZE), 1)
    assert meta["classes"] == list(Shapes.classes)
    network, _ = load_video_network(tmp_path / "net" / "network.pt")
    known = load_checkpoint(static)[0].state_dict()
    assert all(torch.equal(value, known[name]) for name, value in network.static.state_dict().items())
    caplog.clear()
    assert training(epochs=0).ensure(tmp_path / "net", "some", FIXED_POINTS["tmanet_t1"], seed=1) == meta
    assert "is trained already" in caplog.text
    assert "epoch" not in caplog.text


def test_the_static_network_is_scored_and_kept_as_it_is(training, static, tmp_path):
    meta = training(label_every=2).ensure_static(tmp_path / "net", "static")
    network, _ = load_video_network(tmp_path / "net" / "network.pt")
    known = load_checkpoint(static)[0]
    assert all(torch.equal(value, network.static.state_dict()[name]) for name, value in known.state_dict().items())
    assert all(
        torch.equal(v, network.head.classifier.state_dict()[n]) for n, v in known.classifier.state_dict().items()
    )
    assert (meta["name"], meta["epoch"]) == ("static", 0)
    assert meta["miou"] == pytest.approx(float(one_row(tmp_path / "net" / "curve.csv")["miou"]))
    assert not (tmp_path / "net" / "training.pt").exists()
    assert training(epochs=3).ensure_static(tmp_path / "net", "static") == meta  # no recipe makes another one


def test_what_is_adapted_to_another_video_says_so(training, tmp_path):
    assert "adapted" not in training().ensure_static(tmp_path / "own", "static")
    assert training(adapted=True).ensure_static(tmp_path / "other", "static")["adapted"] is True


@pytest.mark.parametrize("stopped", ["save_video_network", "SavedTraining.finish"])
def test_a_static_network_stopped_while_it_is_kept_is_kept_next_time(training, tmp_path, monkeypatch, stopped):
    def kill(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(f"nas.training.video.ensure.{stopped}", kill)
        with pytest.raises(KeyboardInterrupt):
            training().ensure_static(tmp_path / "net", "static")
    meta = training().ensure_static(tmp_path / "net", "static")
    assert meta["miou"] == pytest.approx(float(one_row(tmp_path / "net" / "curve.csv")["miou"]))
    assert not (tmp_path / "net" / "training.pt").exists()


def one_row(path):
    with path.open(newline="") as file:
        [row] = csv.DictReader(file)
    return row


def test_the_static_network_teaches_where_nobody_else_is_named(training, static):
    teacher = training(logit_weight=1.0)._inputs.teacher
    known = load_checkpoint(static)[0].state_dict()
    assert all(torch.equal(value, known[name]) for name, value in teacher.static.state_dict().items())
    assert training()._inputs.teacher is None


def test_the_control_takes_as_many_epochs_on_the_same_windows_as_a_cell(training, tmp_path):
    made = training()
    rows = []
    for name in ("per_frame", "tmanet_t1"):
        made.ensure(tmp_path / name, name, FIXED_POINTS[name], seed=0)
        rows.append((tmp_path / name / "curve.csv").read_text().splitlines())
    assert len(rows[0]) == len(rows[1]) == 3


def test_seeds_give_other_networks_and_one_seed_the_same_again(training, tmp_path):
    made, folders = training(epochs=0), [tmp_path / name for name in ("one", "again", "other")]
    for folder, seed in zip(folders, (1, 1, 2), strict=True):
        made.ensure(folder, "some", FIXED_POINTS["tmanet_t1"], seed)
    one, again, other = (load_video_network(folder / "network.pt")[0].head.state_dict() for folder in folders)
    assert all(torch.equal(value, again[name]) for name, value in one.items())
    assert not torch.equal(one["reduce.0.weight"], other["reduce.0.weight"])


def test_other_settings_are_refused_with_the_difference_and_the_network_is_kept(training, tmp_path):
    training(epochs=0).ensure(tmp_path / "net", "some", None, seed=0)
    before = (tmp_path / "net" / "network.pt").read_bytes()
    with pytest.raises(RunError) as refused:
        training(epochs=0, batch=4).ensure(tmp_path / "net", "some", None, seed=0)
    assert "retrain.batch: 8 in the run, 4 now" in str(refused.value)
    assert "--label" in str(refused.value)
    with pytest.raises(RunError, match="seed: 0 in the run, 1 now"):
        training(epochs=0).ensure(tmp_path / "net", "some", None, seed=1)
    assert (tmp_path / "net" / "network.pt").read_bytes() == before


def test_a_teacher_may_move_but_not_change(training, static, tmp_path):
    teachers = [tmp_path / "one.pt", tmp_path / "two.pt"]
    for teacher in teachers:
        teacher.write_bytes(static.read_bytes())
    for teacher in teachers:
        training(EtcConfig(distill_from=teacher), epochs=0).ensure(tmp_path / "net", "some", None, seed=0)
    assert "distill_from" in yaml.safe_load((tmp_path / "net" / "settings.yaml").read_text())["etc"]
    torch.manual_seed(1)
    save_checkpoint(teachers[0], StaticNetwork(len(Shapes.classes), auxiliary=False, encoder="small"), {})
    with pytest.raises(RunError, match=r"etc\.distill_from"):
        training(EtcConfig(distill_from=teachers[0]), epochs=0).ensure(tmp_path / "net", "some", None, seed=0)


def saved(path, *classes):
    save_checkpoint(path, StaticNetwork(len(classes), auxiliary=False), {"classes": classes})
    return path


def test_networks_of_the_same_classes_in_another_order_or_of_other_names_are_refused(training, tmp_path):
    first, second, *rest = Shapes.classes
    swapped, renamed = saved(tmp_path / "a.pt", second, first, *rest), saved(tmp_path / "b.pt", "tree", second, *rest)
    for path, reason in (
        (swapped, f"the classes of the data in another order: class 0 is '{second}' there and '{first}' in the data"),
        (renamed, f"other classes than the data: class 0 is 'tree' there and '{first}' in the data"),
    ):
        with pytest.raises(DataError, match=reason):
            training(checkpoint=path)
        with pytest.raises(DataError, match=reason):
            training(EtcConfig(distill_from=path))


def test_a_damaged_mask_of_the_validation_list_is_found_before_any_training(training, monkeypatch):
    def label(shapes, frame):
        if frame.name == shapes.frames("val")[-1].name:
            raise DataError("mask is damaged")
        return read(shapes, frame)

    read = Shapes.label
    monkeypatch.setattr(Shapes, "label", label)
    with pytest.raises(DataError, match="mask is damaged"):
        training()


def test_a_network_says_what_its_scores_were_measured_on(training, tmp_path):
    meta = training(epochs=0).ensure(tmp_path / "net", "some", None, seed=0)
    assert meta["splits"] == [Shapes().fingerprint(split) for split in ("train", "val")]


def test_networks_of_other_classes_are_refused(training, tmp_path):
    save_checkpoint(tmp_path / "other.pt", StaticNetwork(3, auxiliary=False), {})
    with pytest.raises(DataError, match="3 classes"):
        training(checkpoint=tmp_path / "other.pt")
    with pytest.raises(DataError, match="3 classes"):
        training(EtcConfig(distill_from=tmp_path / "other.pt"))
