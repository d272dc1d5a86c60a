"""Counting what cells cost before they are trained, as their rewards will count it."""

from collections.abc import Callable

from cache.static.network import load_checkpoint
from nas.evaluation.counted_cells import CountedCells
from nas.training.candidates.inputs import Prepared, halved_of
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
        return lambda cell: latencies.costs(cell, refresh)["relative_latency"]
    static, _ = load_checkpoint(prepared.evaluator.static_checkpoint)
    return CountedCells(static, prepared.size, halved=bool(halved_of(space)), refresh=refresh).relative_macs
