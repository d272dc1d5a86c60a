"""Worth of each part that makes a frame cheap, for one lean cell: folded norms, strips, depth, the halved frame.

    python benchmarks/worth_of_parts.py [--size 360x480] [--clip 10] [--repeats 9] [--threads 1]

The lean cell of `inference.py`, batch 1, random weights, a full memory. Every line adds one thing to the line above.
Time is over that of the per-frame network with folded norms and in strips, which takes turns with all lines. `later` is
a later frame, `clip` the mean over a key frame and the later ones up to the next.
"""

import argparse

import numpy as np
import torch
from inference import CLASSES, LEAN
from machine import headline
from tabulate import tabulate

from cache.static.network import StaticNetwork
from nas.evaluation.network_cost import over_clip, turns
from nas.networks.folding import fold_norms
from nas.networks.heads import build_head
from nas.networks.inference import for_inference
from nas.networks.video_network import VideoNetwork
from nas.settings.allocator import keep_freed_memory
from nas.settings.compute import resolve
from nas.settings.machine_config import ComputeConfig

CPU = torch.device("cpu")


def later_frames(static: StaticNetwork) -> dict[str, VideoNetwork]:
    """Build the networks whose later frames are timed, from the dearest to the cheapest."""
    whole, cut, low = (
        VideoNetwork(static, build_head(LEAN[f"lean, {name}"], static.channels, CLASSES, seed=0)).eval()
        for name in ("cur.layer2", "cur.layer2", "low.layer4")
    )
    whole.head.needs = frozenset({"layer2", "layer3", "layer4"})  # type: ignore[misc]
    whole = whole.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return {
        "the cell in the decoder's place, whole encoder": whole,
        "+ norms folded": fold_norms(whole),
        "+ large blocks in strips": for_inference(whole, CPU),
        "+ encoder up to what is read (layer2)": for_inference(cut, CPU),
        "+ the frame at half its size (low.layer4)": for_inference(low, CPU),
    }


@torch.no_grad()
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="360x480", help="of the frames (default: %(default)s)")
    parser.add_argument("--clip", type=int, default=10, help="frames from key frame to key frame (%(default)s)")
    parser.add_argument("--repeats", type=int, default=9, help="timed rounds, of which the median (%(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch on the CPU (default: %(default)s)")
    arguments = parser.parse_args()
    compute = resolve(ComputeConfig(device="cpu"))
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()  # as all commands do
    torch.manual_seed(0)
    static = StaticNetwork(CLASSES, auxiliary=False).eval().to(memory_format=torch.channels_last)
    image = torch.rand(1, 3, *map(int, arguments.size.split("x"))).to(memory_format=torch.channels_last)
    folded, ready, networks = fold_norms(static), for_inference(static, CPU), later_frames(static)
    states = [network.full_state(image) for network in networks.values()]
    runs = [
        lambda n=network, s=state: n.later(image, s) for network, state in zip(networks.values(), states, strict=True)
    ]
    whole = [lambda: ready(image), lambda: static(image), lambda: folded(image)]
    seconds = turns([*whole, *runs], arguments.repeats, compute)
    first, second, *later = np.median(seconds[:, 1:] / seconds[:, :1], axis=0)
    rows = [["the per-frame network, norms as trained", first, first], ["+ norms folded", second, second]]
    rows += [["+ large blocks in strips", 1.0, 1.0]]
    firsts = [first, second, *np.ones(len(later) - 2)]
    clips = [over_clip(first, each, arguments.clip) for first, each in zip(firsts, later, strict=True)]
    rows += [list(row) for row in zip(networks, later, clips, strict=True)]
    print(f"{arguments.size}, clips of {arguments.clip}; {headline('cpu')}")
    print(tabulate(rows, ["", "later", "clip"], tablefmt="github", floatfmt=".2f"))


if __name__ == "__main__":
    main()
