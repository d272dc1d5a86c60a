"""Agreement of candidates trained by dyncell with those of the plain loop: loss curves, and rewards over 5 seeds.

    python benchmarks/candidate_agreement.py [--genotypes 0 6] [--seeds 5] [--threads 1]

"Curve" is the largest relative difference between two loss curves of 6 steps, of dyncell's modules and of the same in
plain PyTorch (`plain.py`), in float64 from the same weights. All places that are sampled start away from pixels: on
one, bilinear interpolation has a gradient to the left and another to the right, rounding chooses, and the curves part.
Rewards are those of small candidates (64x64, 64 windows, 4 epochs) from dyncell's evaluator and from the whole plain
loop (`plain_training.py`), as a search would see them, in float32.
"""

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from candidate_training import FRAMES, SMALL, make_spec, select, train_as_a_search
from machine import headline
from made_up import CLASSES, CPU, FEATURES, made_up
from plain import make_plain
from plain_training import plain_candidate
from tabulate import tabulate
from torch import Tensor, nn

from nas.networks.heads import build_head, unroll
from nas.settings.allocator import keep_freed_memory
from nas.training.candidates.evaluator import EvaluatorSpec
from searchspace.genotype import Genotype
from searchspace.modules.aggregations import AffineSampling
from searchspace.modules.deformable import DeformableConv

WINDOWS: Final = 64
STEPS: Final = 6
OFF_PIXELS: Final = 0.3  # of a pixel of the largest map


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--genotypes", type=int, nargs="+", default=range(12), help="which of the 12 (default: all)")
    parser.add_argument("--seeds", type=int, default=5, help="two or more (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch (default: %(default)s)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        spec = make_spec(Path(folder), SMALL, WINDOWS, CPU)
        rows = [
            [name, curve_difference(genotype), *rewards(spec, genotype, arguments.seeds)]
            for name, genotype in select(arguments.genotypes).items()
        ]
    print(headline())
    headers = ["candidate", "curve", "plain reward", "±", "dyncell reward", "±", "difference", "its standard error"]
    print(tabulate(rows, headers, tablefmt="github", floatfmt=("", ".0e", *[".3f"] * 6)))


def curve_difference(genotype: Genotype) -> float:
    """Find the largest relative difference. Raises AssertionError if it is more than rounding."""
    ours, plain = (np.array(curve(genotype, plain)) for plain in (False, True))
    difference = float(np.max(np.abs(ours / plain - 1)))
    assert difference < 1e-9, f"losses differ: {ours} and {plain} of {genotype}"
    return difference


def curve(genotype: Genotype, plain: bool) -> list[float]:
    """Train some steps on one batch, in float64; return the losses."""
    channels = {name: shape[1] for name, shape in FEATURES.items()}
    head = build_head(genotype, channels, CLASSES, seed=0).double()
    for module in head.modules():
        move_off_pixels(module)
    head = make_plain(head) if plain else head.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    clip, labels = batch()
    optimizer = torch.optim.Adam(head.parameters(), lr=4e-3)
    losses = []
    for _ in range(STEPS):
        loss = torch.stack([F.cross_entropy(*pair) for pair in zip(unroll(head, clip), labels, strict=True)]).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    return losses


def move_off_pixels(module: nn.Module) -> None:
    """Let a module that samples start between pixels."""
    with torch.no_grad():
        if isinstance(module, DeformableConv):
            assert module.shift.bias is not None
            module.shift.bias.fill_(OFF_PIXELS)
        elif isinstance(module, AffineSampling):
            module.affine.bias.add_(torch.tensor([0.0, 0.0, 2 * OFF_PIXELS] * 2) / (SMALL.height / 8))


def batch() -> tuple[list[Mapping[str, Tensor]], list[Tensor]]:
    """Make the features of each frame, and the labels of each after the first."""
    arrays = made_up(8 * FRAMES, (SMALL.height, SMALL.width))
    frames = [{name: torch.from_numpy(arrays[name][i::FRAMES]) for name in arrays} for i in range(FRAMES)]
    clip = [{name: frame[name].permute(0, 3, 1, 2).double() for name in FEATURES} for frame in frames]
    return list(clip), [frame["label8"].long() for frame in frames[1:]]


def rewards(spec: EvaluatorSpec, genotype: Genotype, seeds: int) -> list[float]:
    """Measure mean and spread of both ways, difference and its standard error; AssertionError at 3 times that."""
    found = [[way(spec, genotype, seed)[1] for seed in range(seeds)] for way in (plain_candidate, train_as_a_search)]
    (plain, ours), spreads = np.mean(found, axis=1), np.std(found, axis=1, ddof=1)
    error = float(np.hypot(*spreads) / seeds**0.5)
    assert abs(ours - plain) < 3 * error, f"rewards differ: {found} of {genotype}"
    return [plain, spreads[0], ours, spreads[1], ours - plain, error]


if __name__ == "__main__":
    main()
