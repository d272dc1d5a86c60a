"""A search is killed at random moments and started again, until it ends as one that was never killed."""

import random
import signal

import psutil
import pytest
import torch

from cache.datasets.shapes import Shapes
from cache.static.network import StaticNetwork, save_checkpoint
from nas.runs.store import read_trials

pytestmark = pytest.mark.drill

TRIALS = 160
RAY = ("--executor", "ray", "--workers", 2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, searching, ends_well):
    run = tmp_path_factory.mktemp("whole")
    ends_well(searching(run, trials=TRIALS))
    return run


@pytest.fixture
def same_as(log_of):
    """Whether two runs end alike: each trial once, the same rewards and cells, the same weights to the last bit."""

    def check(run, whole):
        trials = log_of(run)
        assert [trial["number"] for trial in trials] == list(range(len(trials)))
        assert trials == log_of(whole)
        ours, theirs = (torch.load(folder / "controller.pt", weights_only=True) for folder in (run, whole))
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs | ours)

    return check


def finished(said):
    """Numbers of the trials that a search has reported."""
    words = (line.split() for line in said.splitlines())
    return {int(first[1:]) for first, *rest in filter(None, words) if first.startswith("#") and "reward" in rest}


@pytest.mark.parametrize(("sent", "times"), [(signal.SIGKILL, 12), (signal.SIGTERM, 5), (signal.SIGINT, 5)])
def test_in_process(tmp_path, searching, shoot, ends_well, report, whole, same_as, sent, times):
    moment, reported = random.Random(int(sent)), set()
    for _ in range(times):
        code, said = shoot(searching(tmp_path, trials=TRIALS), "run ", moment.uniform(0, 1.2), sent)
        reported |= finished(said)
        assert reported <= {trial.number for trial in read_trials(tmp_path)}
        assert code in (-sent, 0) if sent == signal.SIGKILL else code in (130, 0), said
        assert code <= 0 or "the same command goes on from there" in said
        assert "Traceback" not in said
    ends_well(searching(tmp_path, trials=TRIALS))
    same_as(tmp_path, whole)
    report(f"search in process, {sent.name}", times)


@pytest.mark.parametrize(("sent", "times"), [(signal.SIGKILL, 10), (signal.SIGTERM, 2), (signal.SIGINT, 2)])
def test_under_ray(tmp_path, searching, shoot, ends_well, report, whole, same_as, sent, times):
    """Candidates take random times here, so that workers finish in any order."""
    moment, reported, workers = random.Random(int(sent)), set(), []
    for number in range(times):
        process = searching(tmp_path, *RAY, trials=TRIALS, pause=0.1)
        after_start = number % 3 != 2  # a third is shot while Ray starts
        code, said = shoot(process, "#" if after_start else "run ", moment.uniform(0, 3), sent)
        reported |= finished(said)
        assert reported <= {trial.number for trial in read_trials(tmp_path)}
        assert code in (-sent, 0) if sent == signal.SIGKILL else code in (130, 0), said
        assert "Traceback" not in said
        workers += [p for p in psutil.process_iter(["name"]) if p.info["name"].startswith("ray::Worker")]
    ends_well(searching(tmp_path, *RAY, trials=TRIALS, pause=0.02))
    same_as(tmp_path, whole)
    assert not psutil.wait_procs(workers, timeout=60)[1]
    report(f"search under Ray, {sent.name}", times)


def test_with_candidates_that_are_trained(tmp_path, start, shoot, ends_well, report, log_of):
    """The whole command, from the feature cache to the report, on made-up clips and an untrained static network."""
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "static.pt", StaticNetwork(len(Shapes().classes), auxiliary=False), {"miou": 0.0})

    def searching(name):
        small = ["--trials", 8, "--blocks", 2, "--candidate.epochs", 2, "--candidate.batch", 32, "--window", 3]
        small += ["--threads", 1, "--fixed-points", "tdnet", "--checkpoint", tmp_path / "static.pt"]
        folders = ["--cache-dir", tmp_path / f"cache of {name}", "--run", tmp_path / name]
        return start(["-m", "nas.search", "--dataset", "shapes", "--device", "cpu", *small, *folders])

    moment = random.Random(0)
    for _ in range(8):
        shoot(searching("shot"), "run ", moment.uniform(0, 6))
    said = ends_well(searching("shot"))
    ends_well(searching("whole"))
    assert len(log_of(tmp_path / "shot")) == 9
    assert log_of(tmp_path / "shot") == log_of(tmp_path / "whole"), said
    assert {path.name for path in tmp_path.rglob("*.tmp")} == set()
    report("search with training, SIGKILL", 8)
