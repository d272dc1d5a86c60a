"""Processes that search and are shot at, and the logs that they leave."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

TIMES = {"seconds", "latency", "worker", "checksum"}  # all else of a trial follows from the settings
DRIVER = Path(__file__).with_name("driver.py")


def start(words, **environment):
    """Start Python on `words`; it hears Ctrl-C, which background jobs do not."""
    return subprocess.Popen(
        [sys.executable, *map(str, words)],
        env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE"} | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def start_search(run, *flags, trials=40, **candidates):
    """Start a search with made-up candidates; see driver.py."""
    common = ["--dataset", "shapes", "--device", "cpu", "--threads", 1, "--blocks", 3, "--confirm", 0, "--fixed-points"]
    words = [DRIVER, *common, "--trials", trials, "--run", run, *flags]
    return start(words, CANDIDATES=json.dumps(candidates))


def wait_for_success(process):
    """Wait for a process that nobody shoots at; return what it said. Raises AssertionError if it failed."""
    _, said = process.communicate(timeout=600)
    assert process.returncode == 0, said
    return said


def shoot(process, word, seconds, sent=signal.SIGKILL):
    """Send a process a signal some seconds after it has said a word; return its exit code and what else it said."""
    said = ""
    while word not in said:
        line = process.stderr.readline()
        assert line, f"it ended with {process.wait()} before it said {word!r}:\n{said}"
        said += line
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(sent)
    _, rest = process.communicate(timeout=120)
    return process.returncode, said + rest


def read_log(run):
    """Read the trials of a run in the order of their numbers, without what no two runs share."""
    trials = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    kept = [{key: value for key, value in trial.items() if key not in TIMES} for trial in trials]
    return sorted(kept, key=lambda trial: (-1 if trial["number"] is None else trial["number"], trial["seed"]))
