"""Seconds that a candidate takes, beside the plain loop that one would write first, and candidates per hour.

    python benchmarks/candidate_training.py [--full] [--genotypes 0 6] [--scaling] [--threads 1] [--device cpu]

Candidates are those of the `laptop` preset: windows of 5 frames of 180x240, batch 8, of the sizes of CamVid's lists, on
made-up features. 6 are of the `video` space and 6 of the `paper` space. "Plain" is `plain_candidate` below: a
`DataLoader` that reads the HDF5 file sample by sample, float32, the default memory format, and modules as `plain.py`
has them; it neither counts costs nor measures latency nor looks at memory, as dyncell does for every candidate. Both
start from the same weights and see the same windows in the same order, and their losses must agree.

By default a candidate is worked out from two short ones, of one and of three epochs of a single batch: what comes once,
and what comes with every batch. `--full` trains the whole of it. On a GPU dyncell works in bfloat16, and the peaks of
memory are printed, too. The two ways take turns, each in a process of its own, as a worker is one; CPU time is
disturbed less by other work on the machine.
"""

import argparse
import math
import operator
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import reduce
from multiprocessing import get_context
from pathlib import Path

import h5py
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from plain import made_plain
from tabulate import tabulate
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cache.features import FeatureCache
from cache.sealed import Record
from cache.static.network import StaticNetwork, load_checkpoint, save_checkpoint
from nas.runs.allocator import keep_freed_memory
from nas.runs.config import CandidateConfig, ComputeConfig
from nas.runs.seeding import stream
from nas.training.compute import resolve
from nas.training.evaluator import EvaluatorSpec
from nas.training.heads import build_head
from nas.training.job import Job
from searchspace.cell import DynamicCell
from searchspace.genotype import Genotype
from searchspace.space import Space

Way = Callable[[EvaluatorSpec, Genotype, int], float]
Processes = Mapping[Way, ProcessPoolExecutor]

CLASSES, VOID, FRAMES, SEED = 11, 255, 5, 0
EPOCHS, RATE, CLIP = 4, 4e-3, 3.0  # of the preset
WINDOWS, SCORED = 312, 19  # of CamVid's meta-train and meta-val
SHORT = (3, 1)  # epochs of the two short candidates
FEATURES = {"layer2": (8, 32), "layer3": (16, 96), "layer4": (32, 320), "dec": (8, 64)}  # stride and channels


@dataclass(frozen=True)
class Setting:
    """What candidates are trained with."""

    height: int = 180
    width: int = 240
    batch: int = 8
    blocks: int = 5


WARM_UP = Setting(height=64, width=64)  # of what a process does once in its life, as is to load code


@dataclass(frozen=True)
class Spent:
    """On one candidate, on a part of it, or on all."""

    wall: float
    cpu: float
    peak: float
    """GiB of a GPU's memory; 0 on a CPU."""

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.wall + other.wall, self.cpu + other.cpu, max(self.peak, other.peak))

    def __mul__(self, times: float) -> "Spent":
        return Spent(self.wall * times, self.cpu * times, self.peak)


class Windows(Dataset[dict[str, Tensor]]):
    """Windows of frames out of the HDF5 file, each frame read when it is asked for."""

    def __init__(self, spec: EvaluatorSpec, windows: tuple[tuple[int, ...], ...]) -> None:
        self.file, self.windows = h5py.File(spec.cache_path), windows

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        frames = self.windows[index]
        sample = {n: torch.from_numpy(np.stack([self.file[n][i] for i in frames])) for n in (*FEATURES, "label8")}
        sample["label"] = torch.from_numpy(self.file["label"][frames[-1]])
        return sample | {name: sample[name].permute(0, 3, 1, 2).float().contiguous() for name in FEATURES}


def plain_candidate(spec: EvaluatorSpec, genotype: Genotype, seed: int) -> float:
    """Train and score; return the mean loss of the last epoch."""
    device, settings = spec.compute.device, spec.candidate
    static, _ = load_checkpoint(spec.static_checkpoint)
    head = build_head(genotype, static.channels, spec.classes, seed)
    head.classifier.load_state_dict(static.classifier.state_dict())
    assert isinstance(head, DynamicCell)
    head = made_plain(head).to(device)
    optimizer = torch.optim.Adam(head.parameters(), lr=settings.learning_rate)
    training, scoring = Windows(spec, spec.train_windows), Windows(spec, spec.val_windows)
    for epoch in range(settings.epochs):
        generator = torch.Generator().manual_seed(stream(seed, "order", epoch))
        order = torch.randperm(len(training), generator=generator).tolist()
        losses = []
        for batch in DataLoader(training, settings.batch, sampler=order):
            labels = batch["label8"].to(device).long()
            frames = enumerate(plain_frames(head, batch, device), start=1)
            loss = torch.stack([F.cross_entropy(x, labels[:, i], ignore_index=VOID) for i, x in frames]).sum()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(head.parameters(), settings.clip_norm)
            optimizer.step()
            losses.append(loss.item())
    head.eval()
    counts = torch.zeros(CLASSES**2, dtype=torch.int64, device=device)
    with torch.no_grad():
        for batch in DataLoader(scoring, settings.batch):
            label = batch["label"].to(device).long()
            *_, logits = plain_frames(head, batch, device)
            found = F.interpolate(logits, label.shape[1:], mode="bilinear").argmax(1)
            counts += torch.bincount((label * CLASSES + found)[label != VOID], minlength=CLASSES**2)
    return float(np.mean(losses))


def plain_frames(head: DynamicCell, batch: dict[str, Tensor], device: torch.device) -> Iterator[Tensor]:
    """Logits of each frame after the first."""
    clip = [{name: batch[name][:, i].to(device) for name in FEATURES} for i in range(FRAMES)]
    state = head.init_state(clip[0])
    for features in clip[1:]:
        dec, state = head.step(features, state)
        yield head.classifier(dec)


def make_spec(folder: Path, setting: Setting, windows: int, device: str) -> EvaluatorSpec:
    """Features, a static network, and all else that an evaluator is built from."""
    height, width = setting.height, setting.width
    sizes = {name: (-(-height // stride), -(-width // stride), c) for name, (stride, c) in FEATURES.items()}
    shapes = {"label8": sizes["layer2"][:2], "label": (height, width)}
    rng, frames = np.random.default_rng(SEED), max(windows, SCORED) + FRAMES - 1

    def records() -> Iterator[Record]:
        for _ in range(frames):
            features = {n: rng.standard_normal((1, *size), np.float32).astype(np.float16) for n, size in sizes.items()}
            yield features | {name: rng.integers(0, CLASSES, (1, *shape), np.uint8) for name, shape in shapes.items()}

    FeatureCache.build(folder / "features.h5", "0", {}, [f"{i}" for i in range(frames)], records())
    save_checkpoint(folder / "static.pt", StaticNetwork(CLASSES, auxiliary=False), {})
    every = tuple(tuple(range(i, i + FRAMES)) for i in range(frames - FRAMES + 1))
    return EvaluatorSpec(
        cache_path=folder / "features.h5",
        fingerprint="0",
        static_checkpoint=folder / "static.pt",
        classes=CLASSES,
        train_windows=every[:windows],
        val_windows=every[:SCORED],
        candidate=CandidateConfig(
            epochs=EPOCHS, batch=setting.batch, learning_rate=RATE, clip_norm=CLIP, early_stop=False, max_memory=100.0
        ),
        compute=resolve(ComputeConfig(device=device)),
    )


def trained(spec: EvaluatorSpec, genotype: Genotype, seed: int) -> float:
    """Our way: the mean loss of the last epoch, as a search has it from a worker."""
    trial = spec.build()(Job(number=0, genotype=genotype, seed=seed))
    return trial.metrics["loss"]


def spend(way: Way, spec: EvaluatorSpec, genotype: Genotype) -> tuple[Spent, float]:
    """What one candidate takes in one way, and its loss."""
    gpu = spec.compute.device.type == "cuda"
    if gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    wall, cpu = time.perf_counter(), time.process_time()
    loss = way(spec, genotype, SEED)
    if gpu:
        torch.cuda.synchronize()
    peak = torch.cuda.max_memory_allocated() / 2**30 if gpu else 0.0
    return Spent(time.perf_counter() - wall, time.process_time() - cpu, peak), loss


def compare(processes: Processes, spec: EvaluatorSpec, genotype: Genotype) -> list[Spent]:
    """The plain way and ours. Raises AssertionError if their losses differ."""
    runs = [process.submit(spend, way, spec, genotype).result() for way, process in processes.items()]
    (plain, expected), (ours, loss) = runs
    # Of one step, before any update; then rounding grows, most where deformable samples start between two gradients.
    untouched = spec.candidate.batch == len(spec.train_windows) and spec.candidate.epochs == 1
    tolerance = 1e-3 if untouched and spec.compute.dtype is None else 3e-2
    assert math.isclose(loss, expected, rel_tol=tolerance), f"losses differ: {loss} and {expected} of {genotype}"
    return [plain, ours]


def candidate(processes: Processes, setting: Setting, genotype: Genotype, device: str, full: bool) -> list[Spent]:
    """As `compare`, of a whole candidate of the preset, trained or worked out from short ones."""
    with tempfile.TemporaryDirectory() as folder:
        spec = make_spec(Path(folder), setting, WINDOWS if full else setting.batch, device)
        if full:
            return compare(processes, spec, genotype)
        briefly = (replace(spec, candidate=replace(spec.candidate, epochs=epochs)) for epochs in SHORT)
        long, short = (compare(processes, each, genotype) for each in briefly)
    further = (EPOCHS * -(-WINDOWS // setting.batch) - SHORT[1]) / (SHORT[0] - SHORT[1])
    return [less + (more + less * -1) * further for more, less in zip(long, short, strict=True)]


def drawn(space: str, count: int, blocks: int = 5) -> list[Genotype]:
    """Genotypes, always the same."""
    rng = np.random.default_rng(SEED)
    return [Space.load(space, blocks).uniform(rng) for _ in range(count)]


def line(name: str, spent: Sequence[Spent]) -> list[object]:
    """A line of either table."""
    plain, ours = spent
    ratios = (plain.wall / ours.wall, plain.cpu / ours.cpu)
    hourly = (3600 / plain.wall, 3600 / ours.wall)
    return [name, plain.wall, ours.wall, ratios[0], plain.cpu, ours.cpu, ratios[1], *hourly, plain.peak, ours.peak]


def like_a_worker(threads: int) -> None:
    """What a search's workers do before they train."""
    torch.set_num_threads(threads)
    keep_freed_memory()


def preset_table(processes: Processes, arguments: argparse.Namespace) -> list[list[object]]:
    """A line for each genotype, and for their mean."""
    genotypes = {f"{space} {i}": each for space in ("video", "paper") for i, each in enumerate(drawn(space, 6))}
    chosen = [list(genotypes)[i] for i in arguments.genotypes]
    pairs = {
        name: candidate(processes, Setting(), genotypes[name], arguments.device, arguments.full) for name in chosen
    }
    means = [reduce(operator.add, side) * (1 / len(pairs)) for side in zip(*pairs.values(), strict=True)]
    return [*(line(name, pair) for name, pair in pairs.items()), line("mean", means)]


def scaling_table(processes: Processes, arguments: argparse.Namespace) -> list[list[object]]:
    """A line for each setting, of one genotype of the `paper` space for each number of blocks."""
    base = Setting()
    settings = [
        *(replace(base, batch=batch) for batch in (4, 8, 16)),
        *(replace(base, height=h, width=w) for h, w in ((90, 120), (360, 480))),
        *(replace(base, blocks=blocks) for blocks in (1, 3)),
    ]
    rows = []
    for each in settings:
        [genotype] = drawn("paper", 1, each.blocks)
        name = f"{each.height}x{each.width}, batch {each.batch}, {each.blocks} blocks"
        rows.append(line(name, candidate(processes, each, genotype, arguments.device, arguments.full)))
    return rows


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="train whole candidates")
    parser.add_argument("--genotypes", type=int, nargs="+", default=range(12), help="which of the 12 (default: all)")
    parser.add_argument("--scaling", action="store_true", help="other batches, resolutions and numbers of blocks")
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="such as cuda (default: %(default)s)")
    arguments = parser.parse_args()
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # threads that wait for each other cost no CPU time
    table = scaling_table if arguments.scaling else preset_table
    own, threads = (1, get_context("spawn")), (arguments.threads,)
    with (
        ProcessPoolExecutor(*own, torch.set_num_threads, threads) as plain,
        ProcessPoolExecutor(*own, like_a_worker, threads) as ours,
    ):
        processes: Processes = {plain_candidate: plain, trained: ours}
        candidate(processes, WARM_UP, drawn("video", 1)[0], arguments.device, full=False)
        rows = table(processes, arguments)
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    print(f"{platform.machine()}, {arguments.device}, {arguments.threads} thread(s), torch {torch.__version__}")
    print(f"commit {commit.stdout.strip()}; seconds of a candidate\n")
    headers = ["candidate", *("plain", "dyncell", "ratio"), *("plain, CPU", "dyncell, CPU", "ratio")]
    headers += ["plain an hour", "dyncell an hour", "plain, GiB", "dyncell, GiB"]
    print(tabulate(rows, headers, tablefmt="github", floatfmt=".1f"))


if __name__ == "__main__":
    main()
