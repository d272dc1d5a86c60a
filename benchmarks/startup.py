"""Seconds from a command to its help text and to its first training step, in this process and under Ray.

    python benchmarks/startup.py [--runs 3] [--search --dataset camvid --data-root DIR --checkpoint static.pt]

The cache is warm: a first run, which is not timed, makes the features. The static network is an untrained one and the
clips are made up, unless `--search` names others. CPU time is that of all processes which the command has started, and
says what a quiet machine would need at least on one core; wall time is what a person waits for.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil
from machine import headline
from tabulate import tabulate

LIMIT: Final = 300.0  # seconds
SMALL: Final = ["--blocks", "2", "--window", "3", "--candidate.epochs", "2", "--candidate.batch", "8", "--trials", "1"]
WATCH: Final = '''
"""Runs in every Python process of a command, as `sitecustomize`: notes when an optimizer has made its first step."""

import os, sys, threading, time
from pathlib import Path

def watch():
    register = None
    while register is None:  # an import of its own would wait for that of the main thread, and that one for it
        time.sleep(0.02)
        register = getattr(sys.modules.get("torch.optim.optimizer"), "register_optimizer_step_post_hook", None)
    register(lambda *_: Path(os.environ["DYNCELL_FIRST_STEP"]).touch())

threading.Thread(target=watch, daemon=True).start()
'''


def main() -> None:
    """Time each way of starting and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--search", nargs=argparse.REMAINDER, default=[], help="flags of the search that is started")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sitecustomize.py").write_text(WATCH)
        search = [*(options.search or make_flags(folder)), *SMALL, "--cache-dir", str(folder / "cache"), "--run"]
        ways = {
            "--help": (["--help"], 1),
            "first step, in process": ([*search, "--executor", "inline"], 6),
            "first step, Ray, 1 worker": ([*search, "--executor", "ray"], 12),
            "first step, Ray, 2 workers": ([*search, "--executor", "ray", "--workers", "2"], 12),
        }
        to_first_step(folder, ways["first step, in process"][0], "warm")
        spans: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for run in range(options.runs):
            for way, (words, _) in ways.items():
                spans[way].append(to_first_step(folder, words, f"{way}-{run}"))
    rows = [(way, *map(min, zip(*spans[way], strict=True)), target) for way, (_, target) in ways.items()]
    print(headline())
    print(tabulate(rows, ["", "CPU s", "wall s", "target s"], tablefmt="github", floatfmt=".2f"))


def make_flags(folder: Path) -> list[str]:
    """Make flags of a search on made-up clips, with a static network that knows nothing."""
    from cache.datasets.shapes import Shapes
    from cache.static.network import StaticNetwork, save_checkpoint

    save_checkpoint(folder / "static.pt", StaticNetwork(len(Shapes().classes), auxiliary=False), {"miou": 0.0})
    return ["--dataset", "shapes", "--checkpoint", str(folder / "static.pt")]


def to_first_step(folder: Path, words: list[str], name: str) -> tuple[float, float]:
    """Measure CPU and wall seconds until a search makes its first step or ends; it is then stopped."""
    mark = folder / f"{name}.mark"
    environment = os.environ | {"PYTHONPATH": str(folder), "DYNCELL_FIRST_STEP": str(mark)}
    words = [word for flag in words for word in ((flag, str(folder / name)) if flag == "--run" else (flag,))]
    start = time.perf_counter()
    with (folder / f"{name}.log").open("w") as log:
        command = [sys.executable, "-m", "nas.search", *words]
        process = psutil.Popen(command, env=environment, stdout=log, stderr=log)
        cpu, wall = 0.0, 0.0
        while process.status() != psutil.STATUS_ZOMBIE and not mark.exists():
            if wall > LIMIT:
                raise TimeoutError((folder / f"{name}.log").read_text())
            time.sleep(0.01)
            wall = time.perf_counter() - start
        cpu = sum(seconds(process))
        process.terminate()
        process.wait(60)
    return cpu, wall


def seconds(root: psutil.Process) -> Iterator[float]:
    """Read the CPU seconds of a process, of all that it has started and of those that have ended."""
    for process in [root, *root.children(recursive=True)]:
        with suppress(psutil.Error):
            yield sum(process.cpu_times()[:4])


if __name__ == "__main__":
    main()
