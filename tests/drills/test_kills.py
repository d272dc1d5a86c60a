"""A search is killed at random moments and started again, until it ends as one that was never killed."""

import random
import signal

import psutil
import pytest
import torch
from processes import read_log, shoot, start, start_search, wait_for_success

from cache.datasets.shapes import Shapes
from cache.static.network import StaticNetwork, save_checkpoint
from nas.runs.store import read_trials

pytestmark = pytest.mark.drill

TRIALS = 160
CONFIRM = ("--confirm", 2, "--confirm-seeds", 2)
RAY = (*CONFIRM, "--executor", "ray", "--workers", 2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    run = tmp_path_factory.mktemp("whole")
    wait_for_success(start_search(run, *CONFIRM, trials=TRIALS))
    return run


def weights_of(run):
    return torch.load(run / "controller.pt", weights_only=True)


def check_same(run, whole):
    """Check that the log holds each trial once, with the cells and rewards of a whole run, and the weights agree."""
    trials, ours, theirs = read_log(run), weights_of(run), weights_of(whole)
    assert [trial["number"] for trial in trials] == [None] * 4 + list(range(TRIALS))
    assert trials == read_log(whole)
    assert not list(run.glob(".*.pt.*.tmp"))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs | ours)


def check_shot(run, code, said, sent, reported):
    """Check that it ended by the signal and as it should; all that it has ever reported stands in its log."""
    words = (line.split() for line in said.splitlines())
    reported |= {int(first[1:]) for first, *rest in filter(None, words) if first.startswith("#") and "reward" in rest}
    assert reported <= {trial.number for trial in read_trials(run)}
    assert "Traceback" not in said
    assert code in ((-sent, 0) if sent == signal.SIGKILL else (130, 0)), said
    assert code != 130 or "the same command goes on from there" in said


@pytest.mark.parametrize(("sent", "times"), [(signal.SIGKILL, 12), (signal.SIGTERM, 5), (signal.SIGINT, 5)])
def test_in_process(tmp_path, tell, whole, sent, times):
    moment, reported = random.Random(int(sent)), set()
    for _ in range(times):
        code, said = shoot(start_search(tmp_path, *CONFIRM, trials=TRIALS), "run ", moment.uniform(0, 1.2), sent)
        check_shot(tmp_path, code, said, sent, reported)
    wait_for_success(start_search(tmp_path, *CONFIRM, trials=TRIALS))
    check_same(tmp_path, whole)
    tell(f"search in process, {sent.name}", times)


@pytest.mark.parametrize(("sent", "times"), [(signal.SIGKILL, 10), (signal.SIGTERM, 2), (signal.SIGINT, 2)])
def test_under_ray(tmp_path, tell, whole, sent, times):
    """Candidates take random times here, so that workers finish in any order; every third shot is at Ray's start."""
    moment, reported, workers = random.Random(int(sent)), set(), []
    for number in range(times):
        process = start_search(tmp_path, *RAY, trials=TRIALS, pause=0.1)
        code, said = shoot(process, "run " if number % 3 == 1 else "#", moment.uniform(0, 3), sent)
        check_shot(tmp_path, code, said, sent, reported)
        workers += [found for found in psutil.process_iter(["name"]) if found.info["name"].startswith("ray::Worker")]
    wait_for_success(start_search(tmp_path, *RAY, trials=TRIALS, pause=0.02))
    check_same(tmp_path, whole)
    assert not psutil.wait_procs(workers, timeout=60)[1]
    tell(f"search under Ray, {sent.name}", times)


def test_with_candidates_that_are_trained(tmp_path, tell):
    """The whole command, from the feature cache to the report, on made-up clips and an untrained static network."""
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "static.pt", StaticNetwork(len(Shapes().classes), auxiliary=False), {"miou": 0.0})

    def training(name):
        small = ["--trials", 8, "--blocks", 2, "--candidate.epochs", 2, "--candidate.batch", 32, "--window", 3]
        small += [
            "--threads",
            1,
            "--fixed-points",
            "tdnet",
            "--confirm",
            1,
            "--confirm-seeds",
            1,
            "--checkpoint",
            tmp_path / "static.pt",
        ]
        folders = ["--cache-dir", tmp_path / f"cache of {name}", "--run", tmp_path / name]
        return start(["-m", "nas.search", "--dataset", "shapes", "--device", "cpu", *small, *folders])

    moment = random.Random(0)
    for _ in range(8):
        shoot(training("shot"), "run ", moment.uniform(0, 6))
    said = wait_for_success(training("shot"))
    wait_for_success(training("whole"))
    assert len(read_log(tmp_path / "shot")) == 9 + 2
    assert read_log(tmp_path / "shot") == read_log(tmp_path / "whole"), said
    assert not list(tmp_path.rglob(".*.h5.*.tmp"))
    tell("search with training, SIGKILL", 8)
