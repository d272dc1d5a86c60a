"""Latencies of a run: the one table that all its rewards hang on, measured when it starts and kept in its folder."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch

from baselines.fixed_points import FIXED_POINTS
from cache.static.network import load_checkpoint
from nas.evaluation.latency_parts import Grids, Part, parts_of, parts_of_space
from nas.evaluation.latency_table import LatencyTable, grids_of, measure_table
from nas.runs.store import RunStore
from nas.settings.config_files import read_mapping, write_mapping
from nas.settings.errors import RunError
from nas.training.candidates.inputs import Prepared, halved_of
from searchspace.space import Space

log = logging.getLogger(__name__)

FILE: Final = "latencies.yaml"


def latencies_of_run(store: RunStore, prepared: Prepared, space: Space, threads: int) -> LatencyTable:
    """Read the table that the trials of a run were rewarded by, or measure and keep one if there are none yet.

    Args:
        store: of the run.
        prepared: static network, working size and device.
        space: space that cells are of.
        threads: CPU threads to measure with: one worker's, so that rewards do not depend on how many workers there are.

    Raises:
        RunError: the file is damaged, or gone or another's although trials were rewarded by it.
    """
    path = store.directory / FILE
    if not store.trials:  # a file that is there may be of other settings
        with _cpu_threads(threads):
            table = _measure(prepared, space)
        write_mapping(path, table.to_plain())
    elif not path.exists():
        raise RunError(
            f"{path} is gone, by which the trials of this run were rewarded; restore it from a copy, or start a new "
            "run with --fork NAME"
        )
    try:
        table = LatencyTable.from_plain(read_mapping(path))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{path} is no table of latencies ({error}); restore it from a copy") from error
    store.bind("latencies", table.fingerprint)
    return table


@contextmanager
def _cpu_threads(count: int) -> Iterator[None]:
    """Give PyTorch so many CPU threads, and then those that it had."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _measure(prepared: Prepared, space: Space) -> LatencyTable:
    """Measure all parts that cells of the space and fixed points may have, at the working size."""
    compute = prepared.evaluator.compute
    network, _ = load_checkpoint(prepared.evaluator.static_checkpoint)
    static = network.to(compute.device).freeze()
    grids = grids_of(static, prepared.size, halved=bool(halved_of(space)))
    parts = [*parts_of_space(space, grids), *_parts_of_fixed_points(grids)]
    log.info("measuring the latencies of %d blocks, once for this run", len(set(parts)))
    return measure_table(parts, grids, static, prepared.size, compute)


def _parts_of_fixed_points(grids: Grids) -> Iterator[Part]:
    for cell in FIXED_POINTS.values():
        if cell is not None:
            yield from parts_of(cell, grids)
