"""Time and multiply-adds of a clip beside the per-frame network, for fixed points, lean, found and given cells.

    python benchmarks/inference.py [NETWORK.pt | CELLS.json ...] [--sizes 360x480 1024x2048] [--clip 10] [--repeats 5]
        [--threads 2] [--device cpu] [--only NAME ...] [--network NAME | --encoder NAME]

Batch 1, random weights but those of files, made ready for inference, a full memory. Relative costs are of the mean over
a clip of one key frame and later ones, over the per-frame network, which is made ready, too; all kinds of frame are
timed in turn, so that a busy machine is busy for all. On later frames the encoder runs as far as the cell needs it; the
line "encoder alone" is what a cell that reads `layer4` and costs nothing would reach. The found cells are the five best
of an early CamVid search in the space `video`; CELLS.json maps names to genotypes, as `found_cells.json`.
All stand on our static network, on `arch2` over another encoder, or on a network of one's own, named as in nas.search.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from machine import headline
from tabulate import tabulate
from torch import Tensor, nn

from baselines.fixed_points import FIXED_POINTS
from cache.static.encoders import FIRST, find_encoder
from cache.static.network import StaticNetwork
from cache.static.sources import open_own
from nas.evaluation.network_cost import Timing, count_costs, measure_costs
from nas.networks.heads import Head, build_head
from nas.networks.loading import load_network
from nas.networks.video_network import VideoNetwork
from nas.settings.allocator import keep_freed_memory
from nas.settings.compute import Compute, resolve
from nas.settings.machine_config import ComputeConfig
from searchspace.choices import Choice
from searchspace.genotype import Block, Genotype
from searchspace.modules.cell import State

CLASSES = 19
FOUND = Path(__file__).with_name("found_cells.json")
SKIP, POOL, CONCAT = Choice("skip"), Choice("global_pool"), Choice("concat")
NEAR, WIDE = (Choice("separable_conv", (("kernel", 3), ("dilation", dilation))) for dilation in (1, 3))


def lean_cell(frame: str) -> Genotype:
    """Write a cell by hand that reads one input of this frame and the last `dec`."""
    blocks = (
        Block((frame, "past.dec"), (NEAR, SKIP), CONCAT),
        Block(("block0", "past.dec"), (WIDE, SKIP), CONCAT),
        Block(("block1", "block0"), (WIDE, POOL), Choice("weighted_sum")),
    )
    return Genotype(blocks)


LEAN = {f"lean, {frame}": lean_cell(frame) for frame in ("cur.layer2", "low.layer4")}


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


def static_network(network: str | None, encoder: str) -> StaticNetwork:
    """Build what all cells stand on, with random weights but those of a network of one's own."""
    if network is not None:
        own = open_own(network)
        return StaticNetwork(own.classifier.out_channels, own=own)
    return StaticNetwork(CLASSES, auxiliary=False, encoder=find_encoder(encoder)[0])


def networks(static: StaticNetwork, files: Sequence[Path]) -> dict[str, VideoNetwork]:
    """Build the networks by name, in the order of the table; those of `files` last."""
    cells = FIXED_POINTS | LEAN | read_cells(FOUND)
    for path in files:
        cells |= read_cells(path) if path.suffix == ".json" else {}
    heads: dict[str, Head] = {"encoder alone": Free()}  # type: ignore[dict-item]
    heads |= {name: build_head(cell, static.channels, static.classes, 0) for name, cell in cells.items()}
    built = {name: VideoNetwork(static, head) for name, head in heads.items()}
    return built | {str(path): load_network(path)[0] for path in files if path.suffix != ".json"}


def read_cells(path: Path) -> dict[str, Genotype]:
    """Read genotypes by name."""
    return {name: Genotype.from_json(each) for name, each in json.loads(path.read_text()).items()}


def line(name: str, network: VideoNetwork, timing: Timing, compute: Compute) -> list[object]:
    """Measure a network; return its line of the table."""
    counts, times = count_costs(network, timing.size, timing.clip), measure_costs(network, timing, compute)
    spread = (times["relative_latency_high"] - times["relative_latency_low"]) / 2
    milliseconds = [1e3 * times[kind] for kind in ("per_frame", "later")]
    relative = [counts["relative_macs"], times["relative_latency_later"], times["relative_latency"], spread]
    return ["x".join(map(str, timing.size)), name, *milliseconds, *relative]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="trained networks, or genotypes by name as JSON")
    parser.add_argument("--sizes", nargs="+", default=["360x480", "1024x2048"], help="of the frames (%(default)s)")
    parser.add_argument(
        "--clip", type=int, default=10, help="frames from key frame to key frame (default: %(default)s)"
    )
    parser.add_argument("--repeats", type=int, default=5, help="timed rounds, of which the median (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch on the CPU (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="such as cuda (default: %(default)s)")
    parser.add_argument("--only", nargs="+", help="names of the networks to measure (default: all)")
    parser.add_argument("--network", help="hf:NAME_OR_FOLDER or module:function (default: ours)")
    parser.add_argument("--encoder", default=FIRST, help="of ours, or hf:NAME_OR_FOLDER (default: %(default)s)")
    arguments = parser.parse_args()
    compute = resolve(ComputeConfig(device=arguments.device))
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()  # as all commands do
    torch.manual_seed(0)
    built = networks(static_network(arguments.network, arguments.encoder), arguments.files)
    chosen = {name: network for name, network in built.items() if not arguments.only or name in arguments.only}
    timings = [Timing(tuple(map(int, size.split("x"))), arguments.clip, arguments.repeats) for size in arguments.sizes]
    rows = [line(name, network, timing, compute) for timing in timings for name, network in chosen.items()]
    print(f"mean over {arguments.clip} frames; {headline(arguments.device)}")
    headers = ["size", "network", "per-frame, ms", "later, ms", "MACs, clip", "time, later", "time, clip", "±"]
    print(tabulate(rows, headers, tablefmt="github", floatfmt=("", "", ".1f", ".1f", ".2f", ".2f", ".2f", ".2f")))


if __name__ == "__main__":
    main()
