"""LatencyTable: what a clip costs a cell in time on this machine, predicted as the sum of its parts.

Each part is timed once, in turns with the per-frame network, over whose time it is counted. A sum of such numbers is
the same whoever computes it and whenever, as a measurement is not, so that rewards may hang on it (as in FBNet, Wu et
al., CVPR 2019, arXiv:1812.03443, eq. 3).
"""

import copy
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import fsum
from typing import Any, Final, Self

import numpy as np
import torch
from tqdm import tqdm
from xxhash import xxh3_64_hexdigest

from cache.static.network import FEATURES, LOW, StaticNetwork
from nas.evaluation.latency_parts import Grid, Grids, Part, parts_of, runner
from nas.evaluation.network_cost import over_clip, turns
from nas.networks.inference import for_inference
from nas.settings.compute import Compute
from nas.settings.errors import RunError
from searchspace.genotype import Genotype

log = logging.getLogger(__name__)

REPEATS: Final = 7  # of each part, whose median counts
BESIDE: Final = 12  # parts that take turns with one run of the per-frame network
UNSTEADY: Final = (
    1.5  # ratio of the per-frame network's longer times to its shorter ones, from which on there is a warning
)


@dataclass(frozen=True)
class LatencyTable:
    """Times of parts over that of the per-frame network."""

    grids: Grids
    """Height and width of each feature of a frame."""
    times: Mapping[str, float]
    """Time of each part, by the part as it is written."""

    def costs(self, genotype: Genotype | None, refresh: int) -> dict[str, float]:
        """Predict `relative_latency_later`, of a later frame, and `relative_latency`, of a clip with its key frame.

        Args:
            genotype: of a cell; None for the per-frame network.
            refresh: frames from one key frame to the next; 0 has none after a clip's first.

        Raises:
            RunError: a part of the cell is not in the table, as it is not of the space.
        """
        later = 1.0 if genotype is None else fsum(map(self._time, parts_of(genotype, self.grids)))
        return {"relative_latency": over_clip(1.0, later, refresh), "relative_latency_later": later}

    def _time(self, part: Part) -> float:
        if str(part) not in self.times:
            raise RunError(f"the table of latencies has no {part}: the cell is not of the space that was measured")
        return self.times[str(part)]

    @property
    def fingerprint(self) -> str:
        """Hex digest of all numbers."""
        return xxh3_64_hexdigest(json.dumps(self.to_plain(), sort_keys=True).encode())

    def to_plain(self) -> dict[str, Any]:
        """Return what a YAML file can hold."""
        return {"grids": {name: list(grid) for name, grid in self.grids.items()}, "times": dict(self.times)}

    @classmethod
    def from_plain(cls, content: Mapping[str, Any]) -> Self:
        """Read what `to_plain` returned. Raises LookupError, TypeError, ValueError or AttributeError for all else."""
        grids = {str(name): (int(height), int(width)) for name, (height, width) in content["grids"].items()}
        return cls(grids, {str(part): float(time) for part, time in content["times"].items()})


@torch.no_grad()
def grids_of(static: StaticNetwork, size: Grid, halved: bool) -> dict[str, Grid]:
    """Find height and width of each feature of frames of `size`, and on request of those of halved frames."""
    image, names = torch.empty(1, 3, *size, device="meta"), {*FEATURES, *(LOW if halved else ())}
    features = copy.deepcopy(static).to("meta").features(image, names)
    return {name: (tensor.shape[-2], tensor.shape[-1]) for name, tensor in features.items()}


@torch.no_grad()
def measure_table(
    parts: Iterable[Part], grids: Grids, static: StaticNetwork, size: Grid, compute: Compute
) -> LatencyTable:
    """Time parts of later frames, each by itself; a warning says if the machine is too busy for it.

    Args:
        parts: some may be there more than once.
        grids: of the features of a frame.
        static: network of single frames, on the device of `compute`.
        size: height and width of the frames.
        compute: where and how precisely.
    """
    static, every = for_inference(static, compute.device), list(dict.fromkeys(parts))
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    image = image.to(compute.device, memory_format=torch.channels_last)
    times, whole = dict[str, float](), list[float]()
    for start in tqdm(range(0, len(every), BESIDE), "latencies of blocks", leave=False, disable=None):
        some = every[start : start + BESIDE]
        runs = [lambda: static(image), *(runner(part, static, image) for part in some)]
        seconds = turns(runs, REPEATS, compute)
        ratios = np.median(seconds[:, 1:] / seconds[:, :1], axis=0)
        times |= {str(part): float(ratio) for part, ratio in zip(some, ratios, strict=True)}
        whole += seconds[:, 0].tolist()
    _warn_of_unsteadiness(whole)
    return LatencyTable(grids, times)


def _warn_of_unsteadiness(seconds: list[float]) -> None:
    """Say so if something that always takes equally long did not."""
    low, high = np.percentile(seconds, [10, 90])
    if high > UNSTEADY * low:
        log.warning(
            "the machine was busy while latencies were measured: a frame took from %.0f to %.0f ms; short blocks look "
            "cheaper than they are then. Start anew on a quiet machine if that matters.",
            *(1e3 * low, 1e3 * high),
        )
