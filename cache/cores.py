"""Number of CPU cores that this process may use: of a machine, a `taskset` and a container's quota, the least."""

import os
from collections.abc import Iterator
from pathlib import Path


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
    """Yield each CPU quota that holds for this process, in cores; of a group and of all groups around it."""
    table = root / "proc" / "self" / "cgroup"
    mounts = root / "sys" / "fs" / "cgroup"
    for line in table.read_text().splitlines() if table.exists() else ():
        _, controllers, group = line.split(":", 2)
        if not controllers:  # version 2 has one tree for all controllers
            for folder in _upwards(mounts, group):
                yield from _share(_words(folder / "cpu.max"))
        elif "cpu" in controllers.split(","):
            for folder in (*_upwards(mounts / "cpu", group), *_upwards(mounts / controllers, group)):
                yield from _share(_words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us"))


def _upwards(mount: Path, group: str) -> Iterator[Path]:
    """Yield the folders of a group and of those around it; inside a container, the mount is the group itself."""
    inside = Path(group.lstrip("/"))
    for part in (inside, *inside.parents):
        yield mount / part


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:  # the group has no such file, or lies outside what this container sees
        return []


def _share(quota_and_period: list[str]) -> Iterator[float]:
    if len(quota_and_period) == 2 and all(word.isdecimal() for word in quota_and_period):  # `max` and -1: no quota
        quota, period = map(int, quota_and_period)
        yield quota / period
