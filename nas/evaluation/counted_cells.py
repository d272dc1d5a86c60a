"""CountedCells: what cells cost, before any is built, as the sum of the multiply-adds of their parts."""

import copy

import torch

from cache.static.network import StaticNetwork
from nas.evaluation.head_cost import multiply_adds
from nas.evaluation.latency_parts import Grid, Part, parts_of, runner
from nas.evaluation.latency_table import grids_of
from nas.evaluation.network_cost import over_clip
from searchspace.genotype import Genotype


class CountedCells:
    """Counts each part of cells once, when it is first met, so that a cell takes a fraction of a millisecond.

    Args:
        static: network that the cells run on.
        size: height and width of the frames.
        halved: lets cells read features of halved frames.
        refresh: frames from one key frame to the next; 0 has none after a clip's first.
    """

    def __init__(self, static: StaticNetwork, size: Grid, *, halved: bool, refresh: int) -> None:
        self._twin, self._image = copy.deepcopy(static).to("meta").eval(), torch.empty(1, 3, *size, device="meta")
        self._grids, self._refresh = grids_of(self._twin, size, halved), refresh
        self._per_frame = multiply_adds(lambda: self._twin(self._image))
        self._parts: dict[Part, int] = {}

    @torch.no_grad()
    def relative_macs(self, genotype: Genotype) -> float:
        """Count a cell's multiply-adds on the mean over a clip, over the per-frame network's, as `count_costs` does."""
        later = sum(self._macs(part) for part in parts_of(genotype, self._grids))
        return over_clip(self._per_frame, later, self._refresh) / self._per_frame

    def _macs(self, part: Part) -> int:
        if part not in self._parts:
            self._parts[part] = multiply_adds(runner(part, self._twin, self._image))
        return self._parts[part]
