"""Counting what cells cost before they are trained, as their rewards will count it."""

from collections.abc import Callable

from cache.static.network import LOW, load_checkpoint
from nas.evaluation.counted_cells import CountedCells
from nas.evaluation.network_cost import over_clip
from nas.training.candidates.inputs import Prepared
from searchspace.genotype import Genotype
from searchspace.space import Space


def counted_costs(prepared: Prepared, space: Space) -> Callable[[Genotype], float]:
    """Make what finds a cell's `relative_macs`, or its `relative_latency` where the search counts costs in time.

    Args:
        prepared: of the search, its table of latencies among it if it has one.
        space: space that the cells are of.

    Raises:
        DataError: the static network is missing or damaged.
    """
    refresh, latencies = prepared.evaluator.refresh, prepared.evaluator.latencies
    if latencies is not None:
        return lambda cell: over_clip(1.0, latencies.later(cell), refresh)
    static, _ = load_checkpoint(prepared.evaluator.static_checkpoint)
    halved = any(name in LOW for name in space.inputs)
    return CountedCells(static, prepared.size, halved=halved, refresh=refresh).relative_macs
