"""`nas.search` with candidates that take no time: the drills exercise all that is around a candidate's training.

Run as a script, with the flags of `nas.search`. The environment variable `CANDIDATES` holds JSON with the fields of
`Candidates`. A reward follows from the cell, so that the policy has something to learn.
"""

import ctypes
import json
import math
import os
import random
import resource
import signal
import time
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import ClassVar

import psutil
import torch

import nas.reporting.search.report
import nas.training.candidates.inputs
from nas.runs.trial import Trial
from nas.search import Arguments, main
from nas.settings.command_line import run_command
from nas.settings.compute import Compute
from nas.settings.config import SearchConfig


@dataclass(frozen=True)
class Candidates:
    """Made-up candidates, in the place of `EvaluatorSpec`."""

    pause: float = 0.0
    """Mean wait in seconds; it is random, between 0 and twice of it."""
    faults: dict[str, str] = field(default_factory=dict)
    """Faults of trials, by number."""
    compute: ClassVar = Compute(torch.device("cpu"), None)

    def build(self):
        return self.evaluate

    def evaluate(self, job):
        time.sleep(random.Random(time.time_ns()).uniform(0, 2 * self.pause))
        fault = self.faults.get(str(job.number))
        if fault:
            FAULTS[fault]()
        reward = math.nan if fault == "nan reward" else math.sin(int(job.genotype.key, 16)) ** 2
        metrics = {"loss": math.nan if fault == "nan metric" else 1 - reward, "agreement": reward}
        scores = {"reward": reward, "halfway_reward": reward / 2, "metrics": metrics}
        names = {"number": job.number, "confirms": job.confirms, "genotype": job.genotype}
        return Trial(**names, status="finished", seed=job.seed, epochs=job.epochs or 2, **scores)


def raise_error():
    raise RuntimeError("the cell is bad")


def hang():
    while True:
        pass


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def crash():
    ctypes.string_at(0)


def leave():
    os._exit(0)


def grow(gibibytes):
    """Ask for ever more memory, in a process that may have so much beside what it has."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    limit = psutil.Process().memory_info().vms + gibibytes * 2**30
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    held = []
    try:
        while True:
            held.append(torch.ones(2**25))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


FAULTS = {
    "raises": raise_error,
    "hangs": hang,
    "killed": die,
    "segfault": crash,
    "exits": leave,
    "limited memory": lambda: grow(1),
    "all memory": lambda: grow(6),  # what Ray is told to allow ends before
    "python memory": lambda: bytearray(2**62),
    "nan reward": lambda: None,
    "nan metric": lambda: None,
}

if __name__ == "__main__":
    candidates = Candidates(**json.loads(os.environ.get("CANDIDATES", "{}")))
    features = SimpleNamespace(fingerprint="none")
    nas.training.candidates.inputs.prepare = lambda *_: SimpleNamespace(features=features, evaluator=candidates)
    nas.reporting.search.report.write_report = lambda *_: ""
    run_command("nas.search", Arguments, SearchConfig, main)
