"""Number of CPU cores that this process may use: of a machine, a `taskset` and a container's quota, the least."""

import os
from collections.abc import Iterator
from pathlib import Path

from cache.control_groups import limits


def usable_cores(root: Path = Path("/")) -> int:
    """Count the cores that this process may use, at least 1.

    Those of the machine, less what an affinity mask (`taskset`, a batch system) takes away, and no more than the CPU
    quota of the control groups that the process is in (containers). Half a core of a quota is not counted.

    Args:
        root: of the file system in which `proc` and `sys` lie.
    """
    masked = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min([masked, *_quotas(root)])))


def _quotas(root: Path) -> Iterator[float]:
    """Yield each CPU quota that holds for this process, in cores."""
    for words in limits("cpu", ["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"], root):
        if len(words) == 2 and all(word.isdecimal() for word in words):  # `max` and -1: no quota
            quota, period = map(int, words)
            yield quota / period
