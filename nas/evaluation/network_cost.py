"""Costs of a whole video network, encoder included, on frames of a given size: counted and measured.

Costs are relative to those of the network's own static network, which a per-frame network runs on every frame and
which so costs 1 by definition: of a later frame, with a full memory, and on the mean over a clip from one key frame to
the next, a first frame and later ones.

Latency is of one image at a time, made ready for inference, after warm-up, from a tensor on the device to logits at 1/8
there.
"""

import copy
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from nas.evaluation.head_cost import multiply_adds, state_bytes
from nas.evaluation.latency import measure
from nas.networks.inference import for_inference
from nas.networks.video_network import VideoNetwork
from nas.settings.compute import Compute

log = logging.getLogger(__name__)

WARM_UP: Final = 2  # rounds that are not counted
Cost = TypeVar("Cost", float, NDArray[np.float64])


@dataclass(frozen=True)
class Timing:
    """Settings of a measurement of latency."""

    size: tuple[int, int]
    """Height and width of the images, in pixels."""
    clip: int | None
    """Number of frames of the clip that means are over, its first one a key frame; 0 for later frames alone; None for
    as many as from one key frame of the network to the next."""
    repeats: int
    """Number of timed repetitions of each kind of frame; 0 measures nothing."""


def over_clip(first: Cost, later: Cost, clip: int) -> Cost:
    """Average over `clip` frames, of which the first costs `first` and the others `later`; 0 is an endless clip."""
    return (first + (clip - 1) * later) / clip if clip else later


def frames_of_clip(network: VideoNetwork, clip: int | None) -> int:
    """Say how many frames means are over: `clip`, or as many as from one key frame of the network to the next."""
    return network.refresh if clip is None else clip


def costs_at(network: VideoNetwork, timings: Sequence[Timing], compute: Compute) -> dict[str, float]:
    """Count and measure a network at one size or more.

    Returns:
        What `count_costs` and `measure_costs` find; for every size after the first all but the parameters, under names
        such as `relative_macs_at_1024x2048`.
    """
    found: dict[str, float] = {}
    for place, timing in enumerate(timings):
        costs = count_costs(network, timing.size, timing.clip) | measure_costs(network, timing, compute)
        end = "_at_{}x{}".format(*timing.size) if place else ""
        found |= {f"{name}{end}": cost for name, cost in costs.items() if not place or name != "parameters"}
    return found


def count_costs(network: VideoNetwork, size: tuple[int, int], clip: int | None = None) -> dict[str, float]:
    """Count a network on images of height and width `size`; nothing is computed, and the result is the same anywhere.

    Returns:
        `parameters`, of static network and head; `macs_first` and `macs_later`, multiply-adds of a frame as
        `complexity` counts them, with a full memory; `relative_macs_later`, over those of the first frame, which are
        the static network's, and `relative_macs`, the same on the mean `over_clip`; and `state_bytes`, that memory in
        float32.
    """
    twin, image = copy.deepcopy(network).to("meta").eval(), torch.empty(1, 3, *size, device="meta")
    with torch.no_grad():
        state = twin.full_state(image)
        first, later = multiply_adds(lambda: twin.first(image)), multiply_adds(lambda: twin.later(image, state))
    return {
        "parameters": sum(p.numel() for p in network.parameters()),
        "macs_first": first,
        "macs_later": later,
        "relative_macs": over_clip(first, later, frames_of_clip(network, clip)) / first,
        "relative_macs_later": later / first,
        "state_bytes": state_bytes(state),
    }


def measure_costs(network: VideoNetwork, timing: Timing, compute: Compute) -> dict[str, float]:
    """Time a network, made ready for inference, on a random image, in turns with its own static network.

    Returns:
        Seconds: `first`, `later` and `per_frame`, each a median with its 10th and 90th percentile as `first_low`,
        `first_high` and so on, and the `mean` over the clip. The `relative_latency`, this mean over `per_frame`, and
        `relative_latency_later`, of a later frame alone, likewise with percentiles; those of the per-frame network are
        1. On a GPU also `peak_bytes`, the most memory that the network took there, weights among it; the CPU
        has no such count. Nothing if memory does not suffice.
    """
    if not timing.repeats:
        return {}
    device = compute.device
    on_cpu = device.type == "cpu"
    held = 0 if on_cpu else torch.accelerator.memory_allocated(device)  # by the network that is copied, among others
    network = for_inference(network, device)
    if not on_cpu:
        torch.accelerator.reset_peak_memory_stats(device)
    try:
        times = _times(network, timing, compute)
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        log.warning("no latency: images of %dx%d need more memory than there is", *timing.size)
        return {}
    return times if on_cpu else times | {"peak_bytes": torch.accelerator.max_memory_allocated(device) - held}


@torch.no_grad()
def _times(network: VideoNetwork, timing: Timing, compute: Compute) -> dict[str, float]:
    image = torch.rand(1, 3, *timing.size, generator=torch.Generator().manual_seed(0))
    image = image.to(compute.device, memory_format=torch.channels_last)
    with compute.autocast():
        state = network.full_state(image)
    kinds = {
        "first": lambda: network.first(image),
        "later": lambda: network.later(image, state),
        "per_frame": lambda: network.static(image),
    }
    seconds = turns(list(kinds.values()), timing.repeats, compute)
    first, later, per_frame = seconds.T
    means = over_clip(first, later, frames_of_clip(network, timing.clip))
    ratios = np.stack([means, later], axis=1) / per_frame[:, None]
    if "dec" in network.head.needs:  # the per-frame network
        ratios = np.ones_like(ratios)
    relative = _percentiles(("relative_latency", "relative_latency_later"), ratios)
    return _percentiles(list(kinds), seconds) | relative | {"mean": float(np.median(means))}


def _percentiles(names: Sequence[str], values: NDArray[np.float64]) -> dict[str, float]:
    """Find the median of each column of `values` (repeats, names), and its 10th and 90th percentile."""
    ends = zip(("_low", "", "_high"), np.percentile(values, [10, 50, 90], axis=0), strict=True)
    return {f"{name}{end}": float(value) for end, row in ends for name, value in zip(names, row, strict=True)}


def turns(kinds: Sequence[Callable[[], object]], repeats: int, compute: Compute) -> NDArray[np.float64]:
    """Measure seconds (repeats, kinds), in turn, so that a machine whose pace changes slows all kinds alike."""

    def once(run: Callable[[], object]) -> float:
        with compute.autocast():  # for each frame anew, as it casts the weights
            return measure(run, compute.device, repeats=1, warm_up=0).median

    rounds = [[once(run) for run in kinds] for _ in range(WARM_UP + repeats)]
    return np.array(rounds[WARM_UP:])
