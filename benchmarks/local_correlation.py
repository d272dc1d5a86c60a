"""Local correlation, forward and backward, beside `unfold`; and what windows and maps cost.

    python -m benchmarks.local_correlation [--threads 2] [--passes 10] [--figure cost.png]

Memories have 4 slots, 16 channels of keys and 64 of values, in float32 and channels-last as cells make them. "Unfold"
is what one would write first: windows side by side, then two products; it must give the same results. Each measurement
has a process of its own. Memory is the most that its passes ever held, inputs and results included. On the CPU, time is
that of the process on all its threads, which other work on the machine disturbs less than a clock; the best counts.
Cost is linear in the areas of windows and maps where a pair, of a query and a key in its window, costs the same in all.
Where there is a GPU, the last line is a 21x21 window on it, beside attention to all positions of all slots.
"""

import argparse
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812
from machine import headline
from tabulate import tabulate
from torch import Tensor

from searchspace.modules.attention import product_attention
from searchspace.modules.local_correlation import local_correlation

SLOTS, KEYS, VALUES = 4, 16, 64


class Case(NamedTuple):
    """Sizes of a line of the table."""

    batch: int
    height: int
    width: int
    window: int
    reference: str | None = None
    device: str = "cpu"


CASES = [
    Case(1, 45, 60, 11, "unfold"),
    Case(8, 23, 30, 11, "unfold"),
    Case(1, 45, 60, 5),
    Case(1, 45, 60, 21),
    Case(1, 23, 30, 11),
    Case(1, 90, 120, 11),
    Case(1, 128, 256, 11),
]
ON_GPU = Case(1, 128, 256, 21, "global", "cuda")


def unfold(query: Tensor, keys: Tensor, values: Tensor, window: int) -> Tensor:
    """Attend to all windows of all slots at once."""
    k, v = (
        F.unfold(x.flatten(0, 1), window, padding=window // 2).view(*x.shape[:3], window**2, -1) for x in (keys, values)
    )
    logits = torch.einsum("ndp,ntdkp->ntkp", query.flatten(2), k)
    weights = logits.flatten(1, 2).softmax(1).view_as(logits)
    return torch.einsum("ntkp,ntckp->ncp", weights, v).view(len(query), -1, *query.shape[2:])


def attend_globally(query: Tensor, keys: Tensor, values: Tensor, window: int) -> Tensor:
    """Attend to all slots and positions by `scaled_dot_product_attention`."""
    return product_attention(query, keys.unbind(1), values.unbind(1), scaled=False)


WAYS: dict[str, Callable[[Tensor, Tensor, Tensor, int], Tensor]] = {
    "ours": local_correlation,
    "unfold": unfold,
    "global": attend_globally,
}


def measure(way: str, case: Case, threads: int, passes: int) -> tuple[float, float, list[npt.NDArray[np.float32]]]:
    """Measure milliseconds of the best pass, megabytes at the peak, and the results: the read and its gradients."""
    torch.set_num_threads(threads)
    run(way, case._replace(batch=1, height=8, width=8))  # loads code, which is no part of the peak
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # VmHWM begins anew
    spans = []
    for _ in range(passes):
        span, results = run(way, case)
        spans.append(span)
    peak = resident("VmHWM") - before if case.device == "cpu" else torch.cuda.max_memory_allocated() / 1e6
    return 1e3 * min(spans), peak, [x.numpy(force=True) for x in results]


def run(way: str, case: Case) -> tuple[float, list[Tensor]]:
    """Time a forward and backward pass, in seconds; return its results, too."""
    generator, maps = torch.Generator().manual_seed(0), (case.batch, case.height, case.width)
    shapes = ((*maps, 1, KEYS), (*maps, SLOTS, KEYS), (*maps, SLOTS, VALUES))
    maps_of = (torch.randn(shape, generator=generator).permute(0, 3, 4, 1, 2) for shape in shapes)
    query, keys, values = inputs = [x.to(case.device).requires_grad_() for x in maps_of]
    start = seconds(case.device)
    read = WAYS[way](query.squeeze(1), keys, values, case.window)
    results = [read, *torch.autograd.grad(read.square().sum(), inputs)]
    return seconds(case.device) - start, results


def seconds(device: str) -> float:
    """Read the clock: of the CPU time of this process, or of what a GPU has done."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def resident(field: str) -> float:
    """Read the megabytes of this process in memory, now (VmRSS) or at most so far (VmHWM)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024 / 1e6


def pairs(case: Case) -> int:
    """Count the pairs of a query and a key in its window, over all slots."""
    return case.batch * case.height * case.width * SLOTS * case.window**2


def line(case: Case, threads: int, passes: int) -> list[object]:
    """Measure a line of the table; what ours and the reference return must agree if they do the same."""
    measured = []
    for way, times in (("ours", passes), (case.reference, 2 if case.device == "cpu" else passes)):
        if way is not None:
            with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
                measured.append(fresh.submit(measure, way, case, threads, times).result())
    (ms, mb, results), *reference = measured
    if case.reference == "unfold":
        for one, two in zip(results, reference[0][2], strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-4 * np.abs(two).max())
    name = f"{case.device}, {case.batch}x{case.height}x{case.width}, window {case.window}"
    columns: list[object] = [name, ms, 1e6 * ms / pairs(case), mb]
    for other_ms, other_mb, _ in reference:
        columns += [case.reference, other_ms, other_mb, other_ms / ms, other_mb / mb]
    return columns


def draw(path: Path, lines: list[list[object]], cases: list[Case]) -> None:
    """Draw milliseconds on the CPU against pairs of a query and a key, beside a straight line through the largest."""
    figure, axes = plt.subplots(figsize=(6, 4.5), layout="constrained")
    points = [(pairs(case), line[1], case) for case, line in zip(cases, lines, strict=True) if case.device == "cpu"]
    for title, marker, shown in (
        ("45x60, windows of 5 to 21", "o", [p for p in points if p[2][:3] == (1, 45, 60)]),
        ("window 11, 23x30 to 128x256", "s", [p for p in points if p[2][0] == 1 and p[2].window == 11]),
    ):
        xs, ys, _ = zip(*sorted(shown), strict=True)
        axes.loglog(xs, ys, marker=marker, label=title)
    most, slowest, _ = max(points)
    straight = [x for x, *_ in points if x >= most / 100]
    axes.loglog(sorted(straight), [float(str(slowest)) * x / most for x in sorted(straight)], "k:", label="linear")
    axes.set(xlabel="pairs of a query and a key in its window", ylabel="forward + backward, ms of CPU time")
    axes.legend()
    figure.savefig(path, dpi=150)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="threads of PyTorch (default: %(default)s)")
    parser.add_argument("--passes", type=int, default=10, help="of ours; the reference has 2 (default: %(default)s)")
    parser.add_argument("--figure", type=Path, help="also draw cost over sizes, into this file")
    arguments = parser.parse_args()
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # threads that wait for each other cost no CPU time
    cases = [*CASES, ON_GPU] if torch.cuda.is_available() else CASES
    torch.set_num_threads(arguments.threads)
    lines = [line(case, arguments.threads, arguments.passes) for case in cases]
    print(headline("cpu and cuda" if torch.cuda.is_available() else "cpu"))
    headers = [
        "forward + backward",
        "ms",
        "ns a pair",
        "MB",
        "reference",
        "ms",
        "MB",
        "times faster",
        "times less memory",
    ]
    print(tabulate(lines, headers, floatfmt=".1f", missingval="-"))
    if arguments.figure:
        draw(arguments.figure, lines, cases)


if __name__ == "__main__":
    main()
