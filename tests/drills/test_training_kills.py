"""Kills while features are made, the static network is trained and cells are retrained: nothing half is ever used."""

import random

import pytest
import torch
from processes import shoot, start, wait_for_success

from cache.datasets.shapes import Shapes
from cache.sealed import map_arrays
from cache.static.network import StaticNetwork, save_checkpoint
from cache.tensor_files import load_tensors
from nas.runs.store import RunStore, leaves
from nas.runs.trial import Trial
from nas.settings.config import DataConfig, SearchConfig, StaticConfig
from nas.settings.config_files import to_mapping
from searchspace.choices import Choice
from searchspace.genotype import Block, Genotype

pytestmark = pytest.mark.drill

TIMES = 5
CELL = Genotype((Block(("past.dec", "cur.layer4"), (Choice("skip"), Choice("skip")), Choice("concat")),))
CPU = ("--device", "cpu", "--threads", 1)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("static") / "network.pt"
    torch.manual_seed(0)
    save_checkpoint(path, StaticNetwork(len(Shapes().classes), auxiliary=False), {"miou": 0.0})
    return path


def load_weights(folder):
    """Load the weights of all networks below a folder, by file and name. Raises DataError if one is not whole."""
    files = {path.relative_to(folder).as_posix(): load_tensors(path) for path in sorted(folder.rglob("*.pt"))}
    return {name: leaf for name, leaf in leaves(files) if isinstance(leaf, torch.Tensor)}


def same(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in theirs)


def left_over(folder):
    return [path.name for path in folder.rglob(".*.tmp")]


def test_while_features_are_made(tmp_path, tell, checkpoint):
    def making(name):
        flags = ["--trials", 1, "--blocks", 1, "--candidate.epochs", 2, "--window", 3, "--fixed-points"]
        folders = ["--checkpoint", checkpoint, "--cache-dir", tmp_path / name, "--run", tmp_path / f"run of {name}"]
        return start(["-m", "nas.search", "--dataset", "shapes", *CPU, *flags, *folders])

    moment = random.Random(0)
    for _ in range(TIMES):
        shoot(making("shot"), "making the features", moment.uniform(0, 3))
        for path in (tmp_path / "shot").rglob("*.h5"):
            map_arrays(path)  # raises if it is not whole
            path.unlink()  # a late shot leaves finished features, and the next one wants them made
    wait_for_success(making("shot"))
    wait_for_success(making("whole"))
    [ours], [theirs] = ([*(tmp_path / name).rglob("*.h5")] for name in ("shot", "whole"))
    assert ours.name == theirs.name
    assert ours.read_bytes() == theirs.read_bytes()
    assert not left_over(tmp_path / "shot")
    tell("features, SIGKILL", TIMES)


def check_killed_and_whole(tmp_path, training, word, moment, *, longest, files):
    """Check that a training killed up to `longest` seconds after it said a word leaves a whole one's weights."""
    for _ in range(TIMES):
        shoot(training("shot"), word, moment.uniform(0, longest))
        load_weights(tmp_path / "shot")
    wait_for_success(training("shot"))
    wait_for_success(training("whole"))
    assert same(load_weights(tmp_path / "shot"), load_weights(tmp_path / "whole"))
    assert len(list((tmp_path / "shot").rglob("*.pt"))) == files
    assert not left_over(tmp_path / "shot")


def test_while_the_static_network_is_trained(tmp_path, tell):
    def training(name):
        flags = ["--scale", 0.25, "--static.epochs", 8, "--static.validate-every", 1, "--static.batch", 16]
        return start(["-m", "nas.pretrain", "--dataset", "shapes", *CPU, *flags, "--cache-dir", tmp_path / name])

    check_killed_and_whole(tmp_path, training, "static network: ", random.Random(1), longest=5, files=1)
    tell("static training, SIGKILL", TIMES)


def test_while_cells_are_retrained(tmp_path, tell, checkpoint):
    data, static = DataConfig(dataset="shapes", scale=0.25, window=3, refresh=0), StaticConfig(checkpoint=checkpoint)
    config = to_mapping(SearchConfig(data=data, static=static, fixed_points=("per_frame",)))
    for name in ("shot", "whole"):
        with RunStore.open(tmp_path / name, identity={}, config=config) as store:
            store.append(Trial(number=0, genotype=CELL, status="finished", reward=0.5))

    def training(name):
        recipe = ["--top-k", 1, "--head-epochs", 2, "--epochs", 2, "--batch", 16, "--validate-every", 1]
        return start(["-m", "nas.retrain", "--run", tmp_path / name, *CPU, *recipe])

    check_killed_and_whole(tmp_path, training, "network 1 of 2", random.Random(2), longest=15, files=2)
    tell("retraining, SIGKILL", TIMES)
