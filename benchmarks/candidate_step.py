"""Milliseconds of every operation and aggregation, forward and backward, beside the same in plain PyTorch.

    python benchmarks/candidate_step.py --threads 1 --repeats 15

Maps are 16x64x23x30, float32: a batch of 16 at 1/16 of 360x480. "Plain" is what one would write first with PyTorch's
own layers, in the default memory format and in channels-last; ours runs in channels-last and must give the same
numbers. The ratio is the faster plain one over ours. All are timed in turn, so that a busy machine is busy for all.
"""

import argparse
import copy
import time
from collections.abc import Callable
from statistics import median

import torch
from machine import headline
from plain import make_plain
from tabulate import tabulate
from torch import Tensor, nn

from nas.settings.allocator import keep_freed_memory
from searchspace.modules.aggregations import AGGREGATIONS
from searchspace.modules.operations import OPERATIONS
from searchspace.space import Space

SHAPE = (16, 64, 23, 30)
Step = Callable[..., Tensor]


def milliseconds(step: Step, inputs: list[Tensor], grad: Tensor) -> float:
    """Time one forward and backward pass."""
    start = time.perf_counter()
    step(*inputs).backward(grad)  # type: ignore[no-untyped-call]
    return 1e3 * (time.perf_counter() - start)


def measure(module: nn.Module, arity: int, repeats: int) -> list[float]:
    """Measure median milliseconds: ours, plain in channels-last, plain in the default memory format."""
    plain = make_plain(copy.deepcopy(module))
    runs: list[tuple[Step, list[Tensor], Tensor]] = []
    maps = [torch.randn(SHAPE, generator=torch.Generator().manual_seed(i)) for i in range(arity + 1)]
    for memory_format in (torch.channels_last, torch.contiguous_format):
        *inputs, grad = (x.to(memory_format=memory_format) for x in maps)
        inputs = [x.requires_grad_() for x in inputs]
        steps: list[Step] = [module, plain] if memory_format is torch.channels_last else [plain]
        runs += [(step, inputs, grad) for step in steps]
    results = [step(*inputs) for step, inputs, _ in runs]
    for result in results:
        torch.testing.assert_close(result, results[0], rtol=1e-3, atol=1e-3)
    spans = [[milliseconds(*run) for run in runs] for _ in range(repeats + 2)][2:]
    return [median(column) for column in zip(*spans, strict=True)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=15, help="timed passes, of which the median (%(default)s)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()  # as workers do
    torch.manual_seed(0)
    space = Space.load("paper")
    rows = []
    for choices, builders, arity in ((space.operations, OPERATIONS, 1), (space.aggregations, AGGREGATIONS, 2)):
        for choice in choices:
            module = builders[choice.name](SHAPE[1], **choice.arguments)
            ours, *others = measure(module, arity, arguments.repeats)
            rows.append([str(choice), ours, *others, min(others) / ours])
    print(headline())
    headers = ["forward + backward, ms", "ours", "plain, channels-last", "plain, default format", "ratio"]
    print(tabulate(rows, headers, floatfmt=".1f"))


if __name__ == "__main__":
    main()
