"""Milliseconds of every operation and aggregation, forward and backward, beside the same in plain PyTorch.

    python benchmarks/candidate_step.py --threads 1 --repeats 15

Maps are 16x64x23x30, float32: a batch of 16 at 1/16 of 360x480. "Plain" is what one would write first with PyTorch's
own layers, in the default memory format and in channels-last; ours runs in channels-last and must give the same
numbers. The ratio is the faster plain one over ours. All are timed in turn, so that a busy machine is busy for all.
"""

import argparse
import platform
import subprocess
import time
from collections.abc import Callable
from statistics import median

import torch
import torch.nn.functional as F  # noqa: N812
from tabulate import tabulate
from torch import Tensor, nn

from searchspace.aggregations import AGGREGATIONS, AffineSampling, ConcatConv, PredictiveFilter
from searchspace.deformable import TAPS, DeformableConv
from searchspace.operations import OPERATIONS, SeparableConv
from searchspace.space import Space

SHAPE = (16, 64, 23, 30)
Step = Callable[..., Tensor]


def plain_separable(ours: SeparableConv, x: Tensor) -> Tensor:
    """`nn.Conv2d` with its own dilation."""
    depthwise, rest = ours
    return rest(nn.Conv2d.forward(depthwise, x))  # type: ignore[no-any-return, arg-type]


def plain_deformable(ours: DeformableConv, x: Tensor) -> Tensor:
    """One `grid_sample` of nine maps above each other."""
    n, c, h, w = x.shape
    shift = ours.shift(x)
    down, right = shift[:, : 2 * TAPS].view(n, TAPS, 2, h, w).unbind(2)
    tap = torch.arange(TAPS).view(-1, 1, 1)
    y, x_ = down + tap // 3 - 1 + torch.arange(h).view(-1, 1), right + tap % 3 - 1 + torch.arange(w)
    grid = torch.stack(((2 * x_ + 1) / w - 1, (2 * y + 1) / h - 1), -1).view(n, TAPS * h, w, 2)
    seen = F.grid_sample(x, grid, align_corners=False).view(n, c, TAPS, h, w) * shift[:, None, 2 * TAPS :].sigmoid()
    return ours.conv(seen.transpose(1, 2).reshape(n, TAPS * c, h, w))  # type: ignore[no-any-return]


def plain_predictive(ours: PredictiveFilter, x1: Tensor, x2: Tensor) -> Tensor:
    """All patches by `unfold`, then a product."""
    patches = F.unfold(x2, 3, padding=1).view(*x2.shape[:2], TAPS, *x2.shape[2:])
    kernels: Tensor = ours.kernel(x1)
    return (patches * kernels.unsqueeze(1)).sum(2)


def plain_affine(ours: AffineSampling, x1: Tensor, x2: Tensor) -> Tensor:
    """`affine_grid` and `grid_sample`."""
    grid = F.affine_grid(ours.affine(x2.mean((2, 3))).view(-1, 2, 3), list(x1.shape), align_corners=False)
    return F.grid_sample(x1, grid, padding_mode="border", align_corners=False)


def plain_conv3d(ours: ConcatConv, x1: Tensor, x2: Tensor) -> Tensor:
    """`conv3d` over a stack of two maps."""
    convolution, norm, relu = ours.conv
    weight = convolution.get_parameter("weight").view(SHAPE[1], 2, SHAPE[1], 3, 3).transpose(1, 2)
    out: Tensor = relu(norm(F.conv3d(torch.stack((x1, x2), 2), weight, padding=(0, 1, 1)).squeeze(2)))
    return out


PLAIN: dict[str, Step] = {
    "separable_conv": plain_separable,
    "deformable_conv": plain_deformable,
    "predictive_filter": plain_predictive,
    "affine_sampling": plain_affine,
    "conv3d": plain_conv3d,
}


def milliseconds(step: Step, inputs: list[Tensor], grad: Tensor) -> float:
    """One forward and backward pass."""
    start = time.perf_counter()
    step(*inputs).backward(grad)  # type: ignore[no-untyped-call]
    return 1e3 * (time.perf_counter() - start)


def measure(name: str, module: nn.Module, arity: int, repeats: int) -> list[float]:
    """Median milliseconds: ours, plain in channels-last, plain in the default memory format."""
    plain: Step = PLAIN.get(name, lambda ours, *inputs: ours(*inputs))
    runs: list[tuple[Step, list[Tensor], Tensor]] = []
    drawn = [torch.randn(SHAPE, generator=torch.Generator().manual_seed(i)) for i in range(arity + 1)]
    for memory_format in (torch.channels_last, torch.contiguous_format):
        *inputs, grad = (x.to(memory_format=memory_format) for x in drawn)
        inputs = [x.requires_grad_() for x in inputs]
        steps: list[Step] = [lambda *x: plain(module, *x)]
        if memory_format is torch.channels_last:
            steps.insert(0, module)
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
    torch.manual_seed(0)
    space = Space.load("paper")
    rows = []
    for choices, builders, arity in ((space.operations, OPERATIONS, 1), (space.aggregations, AGGREGATIONS, 2)):
        for choice in choices:
            module = builders[choice.name](SHAPE[1], **choice.arguments)
            ours, *others = measure(choice.name, module, arity, arguments.repeats)
            own = choice.name in PLAIN
            rows.append([str(choice), ours, others[0] if own else None, others[1], min(others) / ours if own else None])
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    print(f"{platform.machine()}, {arguments.threads} thread(s), torch {torch.__version__}, {commit.stdout.strip()}")
    headers = ["forward + backward, ms", "ours", "plain, channels-last", "plain, default format", "ratio"]
    print(tabulate(rows, headers, floatfmt=".1f", missingval="-"))


if __name__ == "__main__":
    main()
