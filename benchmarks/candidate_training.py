"""Seconds that a candidate takes, beside the plain loop that one would write first, and candidates per hour.

    python benchmarks/candidate_training.py [--full] [--genotypes 0 6] [--scaling] [--threads 1] [--device cpu]
                                            [--precision auto]

Candidates are of the size that the `laptop` preset had until 0.2.0: windows of 5 frames of 180x240, batch 8, as many as
CamVid's lists give, on made-up features. 6 are of the `video` space and 6 of the `paper` space. "Plain" is
`plain_training.py`: a `DataLoader` that reads the HDF5 file sample by sample, float32, the default memory format, and
modules as `plain.py` has them; it neither counts costs nor measures latency nor looks at memory, as dyncell does for
every candidate. Both start from the same weights and see the same windows in the same order; their first losses must
agree, and what becomes of them is `candidate_agreement.py`'s.

By default a candidate is trained for a few epochs of a single batch, and the other steps that it would take are
added, each as the median of those that came when memory had settled. `--full` trains the whole of it. On a GPU dyncell
works in bfloat16, and the peaks of memory are printed, too. The two ways take turns, each in a process of its own, as
a worker is one; CPU time is disturbed less by other work on the machine.
"""

import argparse
import math
import operator
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import reduce
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from machine import headline
from made_up import build_cache, candidate_spec, made_up
from plain_training import plain_candidate
from tabulate import tabulate
from torch.optim.optimizer import register_optimizer_step_post_hook

from nas.settings.allocator import keep_freed_memory
from nas.settings.compute import Compute, resolve
from nas.settings.config import CandidateConfig
from nas.settings.machine_config import ComputeConfig
from nas.training.candidates.evaluator import EvaluatorSpec
from nas.training.candidates.job import Job
from searchspace.genotype import Genotype
from searchspace.space import Space

Way = Callable[[EvaluatorSpec, Genotype, int], tuple[float, float]]
Processes = Mapping[Way, ProcessPoolExecutor]

FRAMES = 5
PRESET = CandidateConfig(  # `laptop`'s, but all are trained to the end
    epochs=4, batch=8, learning_rate=4e-3, clip_norm=3.0, early_stop=False, max_memory=100.0
)
WINDOWS, SCORED = 312, 19  # of CamVid's meta-train and meta-val
STEPS, SETTLED = 8, 3  # of a short candidate, and after how many of them they are alike


@dataclass(frozen=True)
class Setting:
    """Sizes that candidates are trained with."""

    height: int = 180
    width: int = 240
    batch: int = 8
    blocks: int = 5


SMALL = Setting(height=64, width=64)


@dataclass(frozen=True)
class Spent:
    """Time and memory spent on one candidate, on a part of it, or on all."""

    wall: float
    cpu: float
    peak: float
    """Peak of a GPU's memory in GiB; 0 on a CPU."""

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.wall + other.wall, self.cpu + other.cpu, max(self.peak, other.peak))

    def __mul__(self, times: float) -> "Spent":
        return Spent(self.wall * times, self.cpu * times, self.peak)


def make_spec(folder: Path, setting: Setting, windows: int, compute: Compute) -> EvaluatorSpec:
    """Make features and all else that an evaluator is built from."""
    build_cache(folder, made_up(windows + SCORED + FRAMES - 1, (setting.height, setting.width)))
    preset = replace(PRESET, batch=setting.batch)
    return candidate_spec(folder, windows, SCORED, FRAMES, preset, compute)


def train_as_a_search(spec: EvaluatorSpec, genotype: Genotype, seed: int) -> tuple[float, float]:
    """Train in our way: the mean loss of the last epoch and the reward, as a search has them from a worker."""
    trial = spec.build()(Job(number=0, genotype=genotype, seed=seed))
    assert trial.reward is not None
    return trial.metrics["loss"], trial.reward


def spend(way: Way, spec: EvaluatorSpec, genotype: Genotype) -> tuple[Spent, Spent]:
    """Measure what a candidate takes in one way, and what a step of it takes."""
    gpu = spec.compute.device.type == "cuda"
    if gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    marks: list[tuple[float, float]] = []

    def mark(*_: object) -> None:
        marks.append((time.perf_counter(), time.process_time()))

    hook = register_optimizer_step_post_hook(mark)
    mark()
    way(spec, genotype, 0)
    hook.remove()
    if gpu:
        torch.cuda.synchronize()
    mark()
    peak = torch.cuda.max_memory_allocated() / 2**30 if gpu else 0.0
    step = np.median(np.diff(marks, axis=0)[SETTLED:-1], axis=0)
    return Spent(*np.subtract(marks[-1], marks[0]), peak), Spent(*step, peak)


def candidate(processes: Processes, setting: Setting, genotype: Genotype, compute: Compute, full: bool) -> list[Spent]:
    """Measure a candidate of the preset, plain and ours. Raises AssertionError if their first losses differ."""
    with tempfile.TemporaryDirectory() as folder:
        spec = make_spec(Path(folder), setting, WINDOWS if full else setting.batch, compute)
        windows = spec.train_windows[: setting.batch]
        first, short = (
            replace(spec, train_windows=windows, candidate=replace(spec.candidate, epochs=n)) for n in (1, STEPS)
        )
        first = replace(first, compute=replace(compute, dtype=None))  # bfloat16 is up to a tenth off on small maps
        losses = [process.submit(way, first, genotype, 0).result()[0] for way, process in processes.items()]
        assert math.isclose(*losses, rel_tol=1e-3 if compute.device.type == "cpu" else 1e-2), f"{losses} of {genotype}"
        spec = spec if full else short
        spent = [process.submit(spend, way, spec, genotype).result() for way, process in processes.items()]
    further = 0 if full else PRESET.epochs * -(-WINDOWS // setting.batch) - STEPS
    return [whole + step * further for whole, step in spent]


def draw(space: str, count: int, blocks: int = 5) -> list[Genotype]:
    """Draw genotypes, always the same."""
    rng = np.random.default_rng(0)
    return [Space.load(space, blocks).uniform(rng) for _ in range(count)]


def select(numbers: Sequence[int]) -> dict[str, Genotype]:
    """Select some of the 12, by name."""
    every = [(f"{space} {i}", each) for space in ("video", "paper") for i, each in enumerate(draw(space, 6))]
    return dict(every[i] for i in numbers)


def line(name: str, spent: Sequence[Spent]) -> list[object]:
    """Write a line of either table."""
    plain, ours = spent
    ratios = (plain.wall / ours.wall, plain.cpu / ours.cpu)
    hourly = (3600 / plain.wall, 3600 / ours.wall)
    return [name, plain.wall, ours.wall, ratios[0], plain.cpu, ours.cpu, ratios[1], *hourly, plain.peak, ours.peak]


HEADERS = ["candidate", *("plain, s", "dyncell, s", "ratio"), *("plain, CPU s", "dyncell, CPU s", "ratio")]
HEADERS += ["plain an hour", "dyncell an hour", "plain, GiB", "dyncell, GiB"]


def preset_table(processes: Processes, arguments: argparse.Namespace, compute: Compute) -> list[list[object]]:
    """Measure each genotype, and the mean of all."""
    pairs = {
        name: candidate(processes, Setting(), genotype, compute, arguments.full)
        for name, genotype in select(arguments.genotypes).items()
    }
    means = [reduce(operator.add, side) * (1 / len(pairs)) for side in zip(*pairs.values(), strict=True)]
    return [*(line(name, pair) for name, pair in pairs.items()), line("mean", means)]


def scaling_table(processes: Processes, arguments: argparse.Namespace, compute: Compute) -> list[list[object]]:
    """Measure each setting, with one genotype of the `paper` space for each number of blocks."""
    base = Setting()
    settings = [
        *(replace(base, batch=batch) for batch in (4, 8, 16)),
        *(replace(base, height=h, width=w) for h, w in ((90, 120), (360, 480))),
        *(replace(base, blocks=blocks) for blocks in (1, 3)),
    ]
    rows = []
    for each in settings:
        [genotype] = draw("paper", 1, each.blocks)
        name = f"{each.height}x{each.width}, batch {each.batch}, {each.blocks} blocks"
        rows.append(line(name, candidate(processes, each, genotype, compute, arguments.full)))
    return rows


def set_up_like_a_worker(threads: int) -> None:
    """Set this process up as a search's workers are, before they train."""
    torch.set_num_threads(threads)
    keep_freed_memory()


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="train whole candidates")
    parser.add_argument("--genotypes", type=int, nargs="+", default=range(12), help="which of the 12 (default: all)")
    parser.add_argument("--scaling", action="store_true", help="other batches, resolutions and numbers of blocks")
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="such as cuda (default: %(default)s)")
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "bfloat16"], help="of dyncell")
    arguments = parser.parse_args()
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # threads that wait for each other cost no CPU time
    torch.set_num_threads(arguments.threads)
    table = scaling_table if arguments.scaling else preset_table
    compute = resolve(ComputeConfig(device=arguments.device, precision=arguments.precision))
    own, threads = (1, get_context("spawn")), (arguments.threads,)
    with (
        ProcessPoolExecutor(*own, torch.set_num_threads, threads) as plain,
        ProcessPoolExecutor(*own, set_up_like_a_worker, threads) as ours,
    ):
        processes: Processes = {plain_candidate: plain, train_as_a_search: ours}
        candidate(processes, SMALL, draw("video", 1)[0], compute, full=False)  # what a process does once in its life
        rows = table(processes, arguments, compute)
    print(headline(arguments.device))
    print(tabulate(rows, HEADERS, tablefmt="github", floatfmt=".1f"))


if __name__ == "__main__":
    main()
