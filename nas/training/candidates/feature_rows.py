"""The source of a feature cache's rows on this machine: the device, memory, or the file."""

from collections.abc import Sequence
from typing import Literal

import torch

from cache.features import FeatureCache
from cache.rows import HeldRows, Rows, StreamedRows
from nas.settings.compute import GIB, share_of_memory


def open_rows(cache: FeatureCache, names: Sequence[str], device: torch.device, budget: Literal["auto"] | float) -> Rows:
    """Hold rows where they fit, on an accelerator if they fill at most half of what is free there; else stream them.

    Args:
        cache: opened.
        names: arrays to read.
        device: where batches are given.
        budget: GiB that may be held; `auto` is half of what there is.
    """
    needed = sum(cache.arrays[name].nbytes for name in names) / GIB
    allowed = budget == "auto" or needed <= budget
    if device.type != "cpu" and allowed and needed <= torch.accelerator.get_memory_info(device)[0] / 2 / GIB:
        return HeldRows(cache, names, home=device, device=device)
    host = torch.device("cpu")
    if allowed and (budget != "auto" or needed <= share_of_memory(host, workers=1)):
        return HeldRows(cache, names, home=host, device=device)
    return StreamedRows(cache, device=device)
