"""The feature cache beside plain NumPy files: building, opening, batches, and candidates from held and streamed rows.

    python benchmarks/cache_read.py [--frames 468] [--size 180 240] [--runs 5] [--folder DIR]

The features are made up, of CamVid's training and validation frames at half resolution, as the `laptop` preset has
them. NumPy keeps a file for each array, without a checksum, and neither waits for the disk nor replaces a file
atomically. A worker maps what the driver has checked; the batches are of 8 windows of 3 frames. The candidate trains
for one epoch over 64 windows: per_frame, which computes next to nothing, and an average cell. "Cold" is a file that the
system has been asked to forget, so that all comes from the disk, as it does with a cache larger than the memory.

The ways take turns, on one thread, and the best run of each counts. All give equal numbers, which is asserted. CPU time
is what other work on the machine disturbs least; wall time is what a person waits for.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
import torch
from machine import headline
from made_up import FINGERPRINT, build_cache, candidate_spec, made_up
from tabulate import tabulate

from cache.features import FeatureCache
from cache.rows import HeldRows, StreamedRows
from cache.sealed import Array
from nas.training.candidates.job import Job
from searchspace.space import Space

CPU: Final = torch.device("cpu")
Arrays = dict[str, Array]


@dataclass(frozen=True)
class Way:
    """Way to do something, and the way that it has to agree with."""

    name: str
    reference: str
    """Name of the way that it is compared with; its own, if it is a reference."""
    run: Callable[[], object]
    prepare: Callable[[], object] = lambda: None


def main() -> None:
    """Write made-up features, time each way and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=468, help="468 are CamVid's train and val")
    parser.add_argument("--size", type=int, nargs=2, default=(180, 240), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="on the disk that is of interest (default: the temporary folder)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    arrays = made_up(options.frames, tuple(options.size))
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        ways = [*files(Path(folder), arrays), *batches(Path(folder), options.frames), *candidates(Path(folder))]
        table = time_in_turns(ways, options.runs)
    megabytes = sum(array.nbytes for array in arrays.values()) / 1e6
    print(f"{megabytes:.0f} MB of features, {headline()}")
    headers = ["", "CPU ms", "wall ms", "reference", "CPU ratio", "wall ratio"]
    print(tabulate(table, headers, tablefmt="github", floatfmt=("", ".1f", ".1f", "", ".2f", ".2f")))


def files(folder: Path, arrays: Arrays) -> Iterator[Way]:
    """Yield the ways to write all and to read all."""
    frames = len(arrays["label"])
    names = [f"frame{i:06}" for i in range(frames)]

    def build(path: Path) -> None:
        records = ({name: array[start : start + 8] for name, array in arrays.items()} for start in range(0, frames, 8))
        FeatureCache.build(path, FINGERPRINT, {}, names, records)

    def save() -> None:
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array)

    def load() -> list[Array]:
        return [np.load(folder / f"{name}.npy") for name in arrays]

    def copies() -> list[Array]:
        cache = FeatureCache.open(folder / "features.h5", FINGERPRINT)
        return [cache.arrays[name].copy() for name in arrays]

    build_cache(folder, arrays)
    build(folder / "other.h5")
    save()
    assert all(np.array_equal(ours, plain) for ours, plain in zip(copies(), load(), strict=True))
    yield Way("np.save", "np.save", save, lambda: [(folder / f"{name}.npy").unlink() for name in arrays])
    yield Way("build", "np.save", lambda: build(folder / "other.h5"), (folder / "other.h5").unlink)
    yield Way("np.load", "np.load", load)
    yield Way(
        "open: every byte checked, pages shared",
        "np.load",
        lambda: FeatureCache.open(folder / "features.h5", FINGERPRINT),
    )
    yield Way("open and copy", "np.load", copies)


def batches(folder: Path, frames: int) -> Iterator[Way]:
    """Yield the ways to read fifty batches of windows at random places."""
    cache = FeatureCache.open(folder / "features.h5", FINGERPRINT, verify=False)
    names = ("layer2", "layer3", "layer4", "dec", "label8")
    starts = torch.randint(frames - 2, (50, 8, 1), generator=torch.Generator().manual_seed(0))
    windows = list(starts + torch.arange(3))
    wanted = [dict.fromkeys(names, window) for window in windows]
    mapped = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names}
    held = HeldRows(cache, names, home=CPU, device=CPU)
    streamed = StreamedRows(cache, device=CPU)

    def plain() -> list[Arrays]:
        return [{name: mapped[name][window.numpy().T] for name in names} for window in windows]

    for expected, *others in zip(plain(), held.batches(wanted), streamed.batches(wanted), strict=True):
        for rows, name in product(others, names):
            tensor = torch.from_numpy(expected[name])
            assert torch.equal(rows[name], tensor.permute(0, 1, 4, 2, 3) if tensor.dim() == 5 else tensor)
    reference = "50 batches, np.load(mmap_mode)"
    yield Way(reference, reference, plain)
    yield Way("50 batches, held", reference, lambda: [None for _ in held.batches(wanted)])
    yield Way("50 batches, streamed", reference, lambda: [None for _ in streamed.batches(wanted)])


def candidates(folder: Path) -> Iterator[Way]:
    """Yield an epoch of candidates whose rows are held, streamed, and streamed from the disk."""
    spec = candidate_spec(folder)
    streamed_path = Path(shutil.copy(spec.cache_path, folder / "streamed.h5"))  # which nobody keeps mapped
    hold, stream = spec.build(), replace(spec, cache_path=streamed_path, cache_memory=1e-3).build()

    def forget() -> None:
        with streamed_path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    cell = Space.load("video").uniform(np.random.default_rng(0))
    for name, job in {
        "per_frame": Job(fixed_point="per_frame", seed=0),
        "a cell": Job(number=0, genotype=cell, seed=0),
    }.items():
        held, streamed = hold(job), stream(job)
        assert (held.metrics, held.reward) == (streamed.metrics, streamed.reward)
        yield Way(f"{name}, held", f"{name}, held", lambda job=job: hold(job))
        yield Way(f"{name}, streamed", f"{name}, held", lambda job=job: stream(job))
        yield Way(f"{name}, streamed, cold", f"{name}, held", lambda job=job: stream(job), forget)


def time_in_turns(ways: list[Way], runs: int) -> list[list[object]]:
    """Make the rows of the table: least milliseconds of each way, and its reference's over its own."""
    spans: dict[str, list[tuple[float, float]]] = {way.name: [] for way in ways}
    for _ in range(runs):
        for way in ways:
            way.prepare()
            cpu, wall = time.process_time(), time.perf_counter()
            way.run()
            spans[way.name].append((1e3 * (time.process_time() - cpu), 1e3 * (time.perf_counter() - wall)))
    best = {name: np.min(pairs, axis=0) for name, pairs in spans.items()}
    return [[way.name, *best[way.name], way.reference, *best[way.reference] / best[way.name]] for way in ways]


if __name__ == "__main__":
    main()
