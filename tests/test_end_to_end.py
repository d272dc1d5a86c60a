"""The whole search as a user starts it, on small made-up clips, with an untrained static network to save time."""

import functools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
import yaml

from cache.datasets.shapes import Shapes
from cache.static.network import StaticNetwork, save_checkpoint

pytestmark = pytest.mark.slow

SMALL = ["--trials", "5", "--blocks", "2", "--candidate.epochs", "2", "--candidate.batch", "32", "--lookahead", "3"]
SMALL += ["--window", "3", "--fixed-points", "per_frame", "tdnet", "--confirm", "1", "--confirm-seeds", "1"]
SMALL += ["--scale", "0.25"]
TIMES = {"seconds", "latency", "worker", "checksum"}  # all else of a trial follows from the settings


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    torch.manual_seed(0)
    network = StaticNetwork(len(Shapes().classes), auxiliary=False)
    save_checkpoint(folder / "static.pt", network, {"miou": 0.0})
    return folder


def words(home, run, *flags):
    paths = ["--checkpoint", home / "static.pt", "--cache-dir", home / "cache", "--run", home / run]
    return [str(word) for word in ["--dataset", "shapes", "--threads", "1", *SMALL, *paths, *flags]]


def start(home, run, *flags, **how):
    line = [sys.executable, "-m", "nas.search", *words(home, run, *flags)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how)


def search(home, run, *flags):
    """Search in a process of its own."""
    process = start(home, run, *flags)
    out, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    return out


@pytest.fixture
def search_here(command, home):
    """Search in this process, where nothing has to be imported again."""

    def search(run, *flags, code=0):
        result = command("search", *words(home, run, *flags))
        assert result.returncode == code, result.stderr
        return result

    return search


def log_of(home, run):
    trials = [json.loads(line) for line in (home / run / "trials.jsonl").read_text().splitlines()]
    kept = [{key: value for key, value in trial.items() if key not in TIMES} for trial in trials]
    names = ("fixed_point", "number", "confirms")  # one of which a trial has
    return sorted(kept, key=lambda trial: [(trial[name] is not None, trial[name]) for name in reversed(names)])


@pytest.fixture(scope="module")
def whole(home):
    return search(home, "whole"), log_of(home, "whole")


def test_a_run_leaves_a_log_a_report_and_pictures(home, whole):
    printed, trials = whole
    assert [trial["number"] for trial in trials] == [None, None, 0, 1, 2, 3, 4, None, None, None]
    assert [trial["confirms"] for trial in trials[8:]] == ["per_frame", "tdnet"]
    assert [trial["epochs"] for trial in trials[7:]] == [4, 4, 4]
    assert "Confirmed by longer training" in printed
    assert [trial["fixed_point"] for trial in trials[:2]] == ["per_frame", "tdnet"]
    assert all(trial["status"] in ("finished", "early_stopped") for trial in trials)
    assert "per_frame" in printed
    assert f"python -m nas.retrain --run {home / 'whole'}" in printed
    assert "tdnet" in printed
    left = {path.name for path in (home / "whole").iterdir()}
    assert left >= {"config.yaml", "inputs.yaml", "trials.jsonl", "plots", "search.log", "controller.pt"}
    assert left >= {"report.md", "report.html", "facts.yaml"}
    report = (home / "whole" / "report.md").read_text()
    shown = [line.partition("(")[2].rstrip(")") for line in report.splitlines() if line.startswith("![")]
    assert len(shown) >= 3
    assert all((home / "whole" / name).stat().st_size > 1000 for name in shown)


def test_the_same_seed_gives_the_same_trials_again(home, whole, search_here):
    search_here("again")
    assert log_of(home, "again") == whole[1]


@pytest.mark.parametrize("workers", [2, *(pytest.param(count, marks=pytest.mark.drill) for count in (1, 3))])
def test_ray_workers_give_the_trials_of_a_single_process(home, whole, workers):
    run = f"ray{workers}"
    search(home, run, "--executor", "ray", "--workers", workers)
    assert log_of(home, run) == whole[1]


def test_another_seed_gives_other_trials(home, whole, search_here):
    search_here("other", "--seed", "1", "--trials", "2")
    assert log_of(home, "other")[2]["genotype"] != whole[1][2]["genotype"]


GENTLE = [pytest.param(sent, marks=pytest.mark.drill) for sent in (signal.SIGTERM, signal.SIGINT)]


@pytest.mark.parametrize("sent", [signal.SIGKILL, *GENTLE])
def test_a_search_stopped_at_any_moment_goes_on_to_the_same_log(home, whole, sent):
    run, moment = f"stopped{sent}", random.Random(int(sent))
    for _ in range(3):
        listening = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # background jobs ignore it
        process = start(home, run, preexec_fn=listening)
        time.sleep(moment.uniform(3, 7))
        process.send_signal(sent)
        _, errors = process.communicate(timeout=60)
        if process.returncode not in (0, -sent) and sent != signal.SIGKILL:
            assert "the same command goes on" in errors or process.returncode < 0  # before Python could listen
    search(home, run)
    assert log_of(home, run) == whole[1]


def test_a_finished_run_is_not_trained_again_and_goes_on_when_trials_are_raised(home, whole, search_here):
    search_here("longer", "--trials", "3", "--confirm", "0")
    assert len(log_of(home, "longer")) == 5
    search_here("longer")
    assert log_of(home, "longer") == whole[1]
    before = (home / "longer" / "trials.jsonl").read_bytes()
    search_here("longer")
    assert (home / "longer" / "trials.jsonl").read_bytes() == before


def test_a_search_that_counts_in_time_goes_on_alike_wherever_it_is_continued(home, search_here):
    timed = ["--cost", "latency", "--max-cost", "0.5", "--space", "paper", "--confirm", "0"]
    search_here("timed", *timed, "--trials", "2")
    shutil.copytree(home / "timed", home / "timed elsewhere")
    search_here("timed", *timed)
    search(home, "timed elsewhere", *timed, "--executor", "ray", "--workers", "2")
    trials = log_of(home, "timed")
    assert len(trials) == 7
    assert trials == log_of(home, "timed elsewhere")
    for trial in trials:
        cost = trial["cost"]["relative_latency"]
        assert trial["reward"] == pytest.approx(trial["metrics"]["worth"] * min(1, 0.5 / cost))
    assert "time / per-frame" in (home / "timed" / "report.md").read_text()
    (home / "timed" / "latencies.yaml").unlink()
    result = search_here("timed", *timed, "--trials", "6", code=2)
    assert "latencies.yaml is gone" in result.stderr
    assert "Traceback" not in result.stderr


def test_other_settings_are_refused_with_the_difference_and_forked_on_request(home, whole, search_here):
    before = (home / "whole" / "trials.jsonl").read_bytes()
    result = search_here("whole", "--candidate.learning-rate", "0.001", code=2)
    assert "candidate.learning_rate: 0.008 in the run, 0.001 now" in result.stderr
    assert "--fork" in result.stderr
    assert "Traceback" not in result.stderr
    assert (home / "whole" / "trials.jsonl").read_bytes() == before
    search_here("whole", "--candidate.learning-rate", "0.001", "--fork", "forked", "--trials", "1")
    settings = yaml.safe_load((home / "forked" / "config.yaml").read_text())
    assert settings["candidate"] == {**settings["candidate"], "learning_rate": 0.001, "epochs": 2}
    assert (home / "whole" / "trials.jsonl").read_bytes() == before


def test_another_static_network_does_not_continue_the_run(home, whole, search_here):
    torch.manual_seed(1)
    save_checkpoint(home / "other.pt", StaticNetwork(len(Shapes().classes), auxiliary=False), {"miou": 0.0})
    result = search_here("whole", "--checkpoint", home / "other.pt", code=2)
    assert "features" in result.stderr


def test_a_run_directory_in_use_is_refused(home, search_here):
    process = start(home, "busy", "--trials", "500")
    try:
        while not (home / "busy" / "config.yaml").exists():
            time.sleep(0.1)
            assert process.poll() is None
        result = search_here("busy", "--trials", "500", code=2)
        assert "another search is writing" in result.stderr
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
