"""Time of a later frame beside the per-frame network, encoder included, for fixed points and found cells.

    python benchmarks/inference.py [--sizes 360x480 1024x2048] [--clip 10] [--repeats 5] [--threads 2] [--device cpu]

Batch 1, eval mode, random weights, a full memory. "Mean / per-frame" is over a clip of one first frame and later ones;
all kinds of frame are timed in turn, so that a busy machine is busy for all. On later frames the encoder runs as far as
the cell needs it; the line "encoder alone" is what a cell that reads `layer4` and costs nothing would reach. The found
cells are the five best of the CamVid search that README.md reports.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from machine import headline
from tabulate import tabulate
from torch import Tensor, nn

from baselines.fixed_points import FIXED_POINTS
from cache.static.network import StaticNetwork
from nas.evaluation.network_cost import Timing, count_costs, measure_costs
from nas.networks.heads import Head, build_head
from nas.networks.video_network import VideoNetwork
from nas.settings.allocator import keep_freed_memory
from nas.settings.compute import Compute, resolve
from nas.settings.config import ComputeConfig
from searchspace.genotype import Genotype
from searchspace.modules.cell import State

CLASSES = 19
FOUND = Path(__file__).with_name("found_cells.json")


class Free(nn.Module):
    """Head that does nothing, to see what the encoder costs."""

    genotype = FIXED_POINTS["tmanet"]  # any cell's: that of the per-frame network, None, would share the classifier
    needs = frozenset({"layer2", "layer4"})
    slots = 0

    def init_state(self, first: Mapping[str, Tensor]) -> State:
        return ()

    def step(self, features: Mapping[str, Tensor], state: State, present: object = None) -> tuple[Tensor, State]:
        return features["layer2"], ()

    def classifier(self, dec: Tensor) -> Tensor:
        return dec


def networks(static: StaticNetwork) -> dict[str, VideoNetwork]:
    """Build the networks by name, in the order of the table."""
    genotypes = FIXED_POINTS | {name: Genotype.from_json(each) for name, each in json.loads(FOUND.read_text()).items()}
    heads: dict[str, Head] = {"encoder alone": Free()}  # type: ignore[dict-item]
    heads |= {name: build_head(each, static.channels, CLASSES, 0) for name, each in genotypes.items()}
    return {name: VideoNetwork(static, head) for name, head in heads.items()}


def line(name: str, network: VideoNetwork, timing: Timing, compute: Compute) -> list[object]:
    """Measure a network; return its line of the table."""
    times, counts = measure_costs(network, timing, compute), count_costs(network, timing.size)
    later, per_frame = 1e3 * times["later"], 1e3 * times["per_frame"]
    spread = 1e3 * (times["later_high"] - times["later_low"]) / 2
    size = "x".join(map(str, timing.size))
    return [size, name, counts["macs_later"] / 1e9, later, spread, per_frame, later / per_frame, times["relative_latency"]]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["360x480", "1024x2048"], help="of the frames (%(default)s)")
    parser.add_argument("--clip", type=int, default=10, help="frames of a clip (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="timed rounds, of which the median (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch on the CPU (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="such as cuda (default: %(default)s)")
    arguments = parser.parse_args()
    compute = resolve(ComputeConfig(device=arguments.device))
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()  # as all commands do
    torch.manual_seed(0)
    static = StaticNetwork(CLASSES, auxiliary=False)
    timings = [Timing(tuple(map(int, size.split("x"))), arguments.clip, arguments.repeats) for size in arguments.sizes]
    rows = [line(name, net, timing, compute) for timing in timings for name, net in networks(static).items()]
    print(f"mean over {arguments.clip} frames; {headline(arguments.device)}")
    headers = ["size", "network", "GMAC", "later, ms", "±", "per-frame, ms", "later / per-frame", "mean / per-frame"]
    print(tabulate(rows, headers, tablefmt="github", floatfmt=("", "", ".2f", ".1f", ".1f", ".1f", ".2f", ".2f")))


if __name__ == "__main__":
    main()
