"""The command `python -m nas.retrain`, from the directory of a run to trained networks, and mistakes to exit code 2."""

import re
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from cache.datasets import shapes
from cache.datasets.shapes import Shapes
from cache.static.network import StaticNetwork, save_checkpoint
from nas.networks.video_network import load_video_network
from nas.retrain import Arguments, chosen_networks, main
from nas.runs.store import RunStore, read_settings
from nas.runs.trial import Trial
from nas.settings.command_line import run_command
from nas.settings.compute import Compute
from nas.settings.config import DataConfig, SearchConfig, StaticConfig
from nas.settings.config_files import to_mapping
from nas.settings.errors import RunError
from nas.settings.machine_config import ComputeConfig
from nas.settings.retrain_config import RetrainConfig
from nas.training.candidates.inputs import prepare
from searchspace.choices import Choice
from searchspace.genotype import Block, Genotype

SKIP = Choice("skip")
CELLS = [
    Genotype((Block(("past.dec", f"cur.{layer}"), (SKIP, SKIP), Choice("concat")),))
    for layer in ("layer2", "layer3", "layer4")
]
ON_FEATURES = ["--alone-on", "features"]
QUICK = ["--head-epochs", "1", "--epochs", "1", "--batch", "8", "--threads", "1"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, small_encoder):
    path = tmp_path_factory.mktemp("static") / "network.pt"
    torch.manual_seed(0)
    save_checkpoint(path, StaticNetwork(len(Shapes.classes), auxiliary=False, encoder=small_encoder), {"miou": 0.0})
    return path


@pytest.fixture
def make_run(monkeypatch, checkpoint, tmp_path):
    for split in ("train", "val"):
        monkeypatch.setitem(shapes.CLIPS, split, 1)

    def make(rewards, costs=()):
        config = SearchConfig(
            data=DataConfig(dataset="shapes", scale=0.25, window=3, refresh=0),
            static=StaticConfig(checkpoint=checkpoint),
            fixed_points=("per_frame",),
        )
        with RunStore.open(tmp_path / "run", identity={}, config=to_mapping(config)) as store:
            for number, (reward, cell) in enumerate(zip(rewards, CELLS, strict=False)):
                failed = {"status": "failed", "error": "crash: gone"}
                fields = failed if reward is None else {"status": "finished", "reward": reward}
                if number < len(costs) and costs[number]:
                    fields |= {"cost": {"relative_macs": costs[number]}}
                store.append(Trial(number=number, genotype=cell, **fields))
        return tmp_path / "run"

    return make


def retrain(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["retrain", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        run_command("nas.retrain", Arguments, RetrainConfig, main)
    return ended.value.code


def test_the_best_cells_and_the_control_are_trained_for_every_seed_and_found_again(make_run, monkeypatch, capsys):
    run = make_run([0.2, None, 0.4])
    assert retrain(monkeypatch, "--run", run, "--seeds", "2", *QUICK) == 0
    names = {"cell2", "cell0", "per_frame"}
    folders = sorted(path.name for path in (run / "retrained").iterdir())
    assert folders == sorted(f"{name}-seed{k}" for name in names for k in (0, 1))
    table = capsys.readouterr().out
    assert all(f"{folder}/network.pt" in table for folder in folders)
    network, meta = load_video_network(run / "retrained" / "cell2-seed1" / "network.pt")
    assert network.head.genotype == CELLS[2].canonical()
    assert (meta["name"], meta["size"]) == ("cell2", [24, 32])
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*.pt")}
    assert retrain(monkeypatch, "--run", run, "--seeds", "2", *QUICK) == 0
    assert capsys.readouterr().out == table
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*.pt")} == before


def test_on_features_cells_learn_from_those_that_the_search_made(make_run, monkeypatch, tmp_path):
    run, cache = make_run([0.2]), tmp_path / "cache"
    monkeypatch.setitem(shapes.CLIPS, "train", 2)  # one to learn from in the search, one to score on
    search = read_settings(run)
    search = replace(search, machine=replace(search.machine, cache_dir=cache), compute=ComputeConfig(threads=1))
    made = prepare(search, Compute(torch.device("cpu"), None))
    before = made.features.path.stat()
    alone = [*QUICK, "--epochs", "0", "--fixed-points", "lean", *ON_FEATURES]
    assert retrain(monkeypatch, "--run", run, "--top-k", "0", "--cache-dir", cache, *alone) == 0
    assert list((cache / "features").glob("*.h5")) == [made.features.path]
    after = made.features.path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert {path.name for path in (run / "retrained").iterdir()} == {"lean-seed0"}


def test_a_label_keeps_other_settings_apart(make_run, monkeypatch, capsys):
    run = make_run([0.2])
    words = ["--run", run, "--top-k", "0", *QUICK]
    assert retrain(monkeypatch, *words) == 0
    assert retrain(monkeypatch, *words, "--static-rate", "0") == 2
    assert "static_rate: 0.0005 in the run, 0.0 now" in capsys.readouterr().err
    assert retrain(monkeypatch, *words, "--static-rate", "0", "--label", "frozen") == 0
    assert {path.name for path in (run / "retrained").iterdir()} == {"per_frame-seed0", "per_frame-frozen-seed0"}


@pytest.mark.parametrize(("after", "warned"), [(0.49, True), (0.5, False), (0.6, False)])
def test_adapting_that_lowers_agreement_is_warned_of(make_run, monkeypatch, capsys, caplog, after, warned):
    run, scored = make_run([0.4]), {"miou": after, "before": 0.5, "relative_macs": 0.3, "epoch": 1}
    adapting = SimpleNamespace(ensure=lambda *_: scored)
    monkeypatch.setattr("nas.retrain.video_training", lambda *_: adapting)
    words = ("--top-k", "1", "--fixed-points", "--dataset", "video", "--data-root", run / "other.mp4")
    assert retrain(monkeypatch, "--run", run, *words) == 0
    assert ("cell0-other, seed 0, agrees less than before" in caplog.text) == warned
    printed = capsys.readouterr().out
    assert "| 50.00" in printed
    assert "A later stretch may tell otherwise" in printed


def test_what_diverges_is_said_and_does_not_keep_the_others_from_being_trained(make_run, monkeypatch, capsys, caplog):
    run = make_run([0.2])
    monkeypatch.setattr("nas.training.video.retraining.cross_entropy", diverging())
    assert retrain(monkeypatch, "--run", run, "--top-k", "1", *QUICK) == 2
    assert "cell0, seed 0, diverged" in caplog.text
    assert "1 of 2 networks diverged: cell0-seed0" in capsys.readouterr().err
    assert (run / "retrained" / "per_frame-seed0" / "network.pt").exists()


def diverging():
    """A loss that is infinite once, at the first step of all."""
    values = iter([torch.inf])

    def loss(logits, *_):
        return logits.square().mean() + next(values, 0.0)

    return loss


@pytest.mark.parametrize(
    ("rewards", "words", "message"),
    [
        ([], [], "no trial of the run .* has finished, so there is no cell to retrain; continue the search"),
        ([None], [], "no trial of the run .* has finished"),
        ([0.2], ["--fixed-points", "gru"], "unknown fixed point 'gru'; known are static, per_frame, tmanet"),
        ([0.2], ["--checkpoint", "absent.pt"], "there is no file absent.pt"),
        ([0.2], ["--device", "cuda:99"], "device 'cuda:99' cannot be used"),
        ([0.2], ["--preset", "laptopp"], "unknown preset 'laptopp'; there are"),
        ([0.2], ["--seeds", "0"], "1 seed or more"),
        ([0.2], ["--label-every", "11"], "--label-every 11 leaves no label to learn from"),
        ([0.2], ["--label", "../../x"], "label must be part of a folder's name, but got '../../x'"),
        ([0.2], ["--label", "/x"], "label must be part of a folder's name, but got '/x'"),
        ([0.2], [*ON_FEATURES, "--label-every", "2"], "alone-on must be images with loss-on last or label-every"),
        ([0.2], [*ON_FEATURES, "--loss-on", "last"], "alone-on must be images with loss-on last or label-every"),
        ([0.2], [*ON_FEATURES, "--temporal-loss", "0.1"], "alone-on must be images with temporal-loss or distill-from"),
        ([0.2], [*ON_FEATURES, "--distill-from", "camvid"], "alone-on must be images with temporal-loss or distill"),
        ([0.2], [*ON_FEATURES, "--dataset", "video", "--data-root", "x.mp4"], "with --dataset alone-on must be images"),
    ],
    ids=[
        *("empty log", "only failures", "fixed point", "checkpoint", "device", "preset", "seeds", "no label"),
        *("path", "root"),
        *("every other label", "last frames", "flow", "another teacher", "another video"),
    ],
)
def test_a_mistake_is_one_message_and_leaves_no_network(make_run, monkeypatch, capsys, rewards, words, message):
    run = make_run(rewards)
    assert retrain(monkeypatch, "--run", run, *QUICK, *words) == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert re.search(message, " ".join((captured.err + captured.out).split()))
    assert not list(run.rglob("*.pt"))


def test_a_folder_that_is_no_run_is_refused(monkeypatch, tmp_path, capsys):
    assert retrain(monkeypatch, "--run", tmp_path, *QUICK) == 2
    assert f"there is no run in {tmp_path}" in capsys.readouterr().err


def test_cells_along_the_front_are_chosen_from_the_cheapest_to_the_best(make_run, caplog):
    run = make_run([0.2, None, 0.4], costs=[0.3, None, 0.6])
    search, arguments = read_settings(run), Arguments(run=run, pareto=2, fixed_points=())
    assert list(chosen_networks(arguments, search)) == ["cell0", "cell2"]
    assert list(chosen_networks(replace(arguments, pareto=1), search)) == ["cell2"]
    assert list(chosen_networks(replace(arguments, pareto=3), search)) == ["cell0", "cell2"]
    assert "has 2 cells on its front, not 3" in caplog.text


def test_a_front_needs_costs_and_a_number_of_cells(make_run):
    run = make_run([0.2])
    with pytest.raises(RunError, match="is of before costs were counted; retrain its best cells with --top-k"):
        chosen_networks(Arguments(run=run, pareto=2), read_settings(run))
    with pytest.raises(RunError, match="pareto must be 0 cells or more, but got -1"):
        Arguments(run=run, pareto=-1)
