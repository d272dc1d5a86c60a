"""Reading a whole feature cache, checksum included, beside `numpy.fromfile` on the same bytes.

    python -m benchmarks.cache_read [--frames 468] [--size 180 240] [--runs 20]

Opening checks every byte, and the arrays are then ready to use, in pages that all processes share. Copying them as well
is for a process that wants them in memory of its own, as `fromfile` gives them; that is the fair comparison. All read a
file that is in the page cache, on one thread, so that nothing waits and CPU time is what a quiet machine's clock would
show; other work on the machine disturbs it less. The ways take turns and the best run of each counts.
"""

import argparse
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from tabulate import tabulate

from cache.features import FeatureCache
from cache.sealed import Array, Record

FINGERPRINT = "0" * 64
REFERENCE = "numpy.fromfile"


def main() -> None:
    """Write made-up features, time each way of reading them and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=468, help="468 are CamVid's train and val")
    parser.add_argument("--size", type=int, nargs=2, default=(180, 240), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.h5"
        names = [f"frame{i:06}" for i in range(options.frames)]
        FeatureCache.build(path, FINGERPRINT, {}, names, _records(options.frames, tuple(options.size)))
        ways = {
            "FeatureCache, opened": lambda: FeatureCache.open(path, FINGERPRINT),
            "FeatureCache, opened and copied": lambda: _copies(FeatureCache.open(path, FINGERPRINT)),
            REFERENCE: lambda: np.fromfile(path, np.uint8),
        }
        seconds = _best(ways, options.runs)
        gigabytes = path.stat().st_size / 1e9
    command = f"cache_read --frames {options.frames} --size {options.size[0]} {options.size[1]}"
    print(f"command    python -m benchmarks.{command} --runs {options.runs}")
    print(f"machine    {os.cpu_count()} x {_processor()}, {platform.system()}, Python {platform.python_version()}")
    print(f"commit     {_commit()}")
    print(f"reference  {REFERENCE} of the same {gigabytes * 1e3:.0f} MB\n")
    table = [(way, 1e3 * s, gigabytes / s, seconds[REFERENCE] / s) for way, s in seconds.items()]
    print(tabulate(table, headers=["", "CPU ms", "GB/s", "ratio"], floatfmt=("", ".1f", ".2f", ".2f")))


def _records(frames: int, size: tuple[int, int]) -> Iterator[Record]:
    rng = np.random.default_rng(0)
    h8, h16, h32 = ((-(-size[0] // s), -(-size[1] // s)) for s in (8, 16, 32))
    shapes = {"layer2": (*h8, 32), "layer3": (*h16, 96), "layer4": (*h32, 320), "dec": (*h8, 64)}
    features = {name: rng.standard_normal((1, *shape), np.float32).astype(np.float16) for name, shape in shapes.items()}
    labels = {name: rng.integers(0, 11, (1, *shape), np.uint8) for name, shape in {"label8": h8, "label": size}.items()}
    for _ in range(frames):
        yield features | labels


def _copies(cache: FeatureCache) -> list[Array]:
    return [array.copy() for array in cache.arrays.values()]


def _best(ways: Mapping[str, Callable[[], object]], runs: int) -> dict[str, float]:
    """Least CPU seconds of each way; what a way returns is freed within its time."""
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(runs):
        for way, work in ways.items():
            start = time.process_time()
            work()
            seconds[way].append(time.process_time() - start)
    return {way: min(spans) for way, spans in seconds.items()}


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _commit() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "none"


if __name__ == "__main__":
    main()
