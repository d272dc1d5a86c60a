"""Costs of a whole video network, encoder included, on frames of a given size: counted and measured.

Latency is of one image at a time, in eval mode, after warm-up, from a tensor on the device to logits at 1/8 there. The
mean is over a clip of a stated length: one first frame and later frames with a full memory. The ratio is that mean over
the time of this network's own static network, which a per-frame network runs on every frame.
"""

import copy
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from nas.evaluation.head_cost import multiply_adds, state_bytes
from nas.evaluation.latency import measure
from nas.networks.video_network import VideoNetwork
from nas.settings.compute import Compute

log = logging.getLogger(__name__)

WARM_UP: Final = 2  # rounds that are not counted


@dataclass(frozen=True)
class Timing:
    """How latency is measured."""

    size: tuple[int, int]
    """Height and width of the images, in pixels."""
    clip: int
    """Number of frames of the clip that a mean latency is over."""
    repeats: int
    """Number of timed repetitions of each kind of frame; 0 measures nothing."""


def count_costs(network: VideoNetwork, size: tuple[int, int]) -> dict[str, float]:
    """Count a network on images of height and width `size`; nothing is computed.

    Returns:
        `parameters`, of static network and head; `macs_first` and `macs_later`, multiply-adds of a frame as
        `complexity` counts them, with a full memory; and `state_bytes`, that memory in float32.
    """
    twin, image = copy.deepcopy(network).to("meta").eval(), torch.empty(1, 3, *size, device="meta")
    with torch.no_grad():
        state = twin.full_state(image)
        first, later = multiply_adds(lambda: twin.first(image)), multiply_adds(lambda: twin.later(image, state))
    parameters = sum(p.numel() for p in network.parameters())
    return {"parameters": parameters, "macs_first": first, "macs_later": later, "state_bytes": state_bytes(state)}


def measure_costs(network: VideoNetwork, timing: Timing, compute: Compute) -> dict[str, float]:
    """Time a network, which is moved to the device and left in eval mode, on a random image.

    Returns:
        Seconds: `first`, `later` and `per_frame`, each a median with its 10th and 90th percentile as `first_low`,
        `first_high` and so on, and the `mean` over the clip. The `ratio`, likewise with percentiles; that of the
        per-frame network is 1. On a GPU also `peak_bytes`, the most memory that tensors took there, the weights among
        them; the CPU has no such count. Nothing if memory does not suffice.
    """
    if not timing.repeats:
        return {}
    network.to(compute.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    on_cpu = compute.device.type == "cpu"
    if not on_cpu:
        torch.accelerator.reset_peak_memory_stats(compute.device)
    try:
        times = _times(network, timing, compute)
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        log.warning("no latency: images of %dx%d need more memory than there is", *timing.size)
        return {}
    return times if on_cpu else times | {"peak_bytes": torch.accelerator.max_memory_allocated(compute.device)}


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
    seconds = _rounds(list(kinds.values()), timing, compute)
    means = (seconds[:, 0] + (timing.clip - 1) * seconds[:, 1]) / timing.clip
    percentiles = zip(("_low", "", "_high"), np.percentile(seconds, [10, 50, 90], axis=0), strict=True)
    times = {f"{kind}{end}": float(each) for end, row in percentiles for kind, each in zip(kinds, row, strict=True)}
    low, ratio, high = np.percentile(means / seconds[:, 2], [10, 50, 90])
    if network.head.genotype is None:
        low = ratio = high = 1.0
    ratios = {"ratio_low": float(low), "ratio": float(ratio), "ratio_high": float(high)}
    return times | ratios | {"mean": float(np.median(means))}


def _rounds(kinds: Sequence[Callable[[], object]], timing: Timing, compute: Compute) -> NDArray[np.float64]:
    """Measure seconds (repeats, kinds), in turn, so that a machine whose pace changes slows all kinds alike."""

    def once(run: Callable[[], object]) -> float:
        with compute.autocast():  # for each frame anew, as it casts the weights
            return measure(run, compute.device, repeats=1, warm_up=0).median

    rounds = [[once(run) for run in kinds] for _ in range(WARM_UP + timing.repeats)]
    return np.array(rounds[WARM_UP:])
