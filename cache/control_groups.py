"""Control groups: what containers and batch systems limit a process by, read from the files of the kernel."""

from collections.abc import Iterator, Sequence
from pathlib import Path


def limits(controller: str, current: Sequence[str], older: Sequence[str], root: Path) -> Iterator[list[str]]:
    """Yield what files say of each group that this process is in, and of all groups around it.

    Args:
        controller: `cpu` or `memory`.
        current: names of the files where groups are of version 2.
        older: names of the files where groups are of version 1.
        root: of the file system in which `proc` and `sys` lie.

    Returns:
        The words of a group's files, one file after the other; nothing of a file that is not there.
    """
    table = root / "proc" / "self" / "cgroup"
    mounts = root / "sys" / "fs" / "cgroup"
    for line in table.read_text().splitlines() if table.exists() else ():
        _, controllers, group = line.split(":", 2)
        if not controllers:  # version 2 has one tree for all controllers
            yield from (_words(folder, current) for folder in _upwards(mounts, group))
        elif controller in controllers.split(","):
            for mount in dict.fromkeys((controller, controllers)):
                yield from (_words(folder, older) for folder in _upwards(mounts / mount, group))


def _upwards(mount: Path, group: str) -> Iterator[Path]:
    """Yield the folders of a group and of those around it; inside a container, the mount is the group itself."""
    inside = Path(group.lstrip("/"))
    for part in (inside, *inside.parents):
        yield mount / part


def _words(folder: Path, names: Sequence[str]) -> list[str]:
    return [word for name in names for word in _words_of(folder / name)]


def _words_of(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:  # the group has no such file, or lies outside what this container sees
        return []
