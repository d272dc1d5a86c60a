"""The source of a feature cache's rows on this machine: the device, memory, or the file."""

import math
from collections.abc import Sequence

import torch

from cache.features import FeatureCache
from cache.rows import HeldRows, Rows, StreamedRows
from nas.training.candidates.memory import GIB, share_of_memory


def open_rows(cache: FeatureCache, names: Sequence[str], device: torch.device, budget: float) -> Rows:
    """Hold rows where they fit, on an accelerator if they fill at most half of what is free there; else stream them.

    Args:
        cache: opened.
        names: arrays to read.
        device: where batches are given.
        budget: GiB that may be held; 0 is half of what there is.
    """
    needed = sum(cache.arrays[name].nbytes for name in names) / GIB
    limit = budget or math.inf
    if device.type != "cpu" and needed <= min(limit, torch.accelerator.get_memory_info(device)[0] / 2 / GIB):
        return HeldRows(cache, names, home=device, device=device)
    host = torch.device("cpu")
    if needed <= (budget or share_of_memory(host, workers=1)):
        return HeldRows(cache, names, home=host, device=device)
    return StreamedRows(cache, device=device)
