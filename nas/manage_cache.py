"""`python -m nas.manage_cache`: what lies in the cache directory, whose it is and how large; and what may go."""

import fcntl
import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tyro.conf import Positional

from cache.errors import DataError
from nas.runs.comparable import read_run
from nas.runs.progress import duration
from nas.settings.command_line import run_command
from nas.settings.config_files import CONFIG_FILE
from nas.settings.errors import RunError
from nas.settings.machine_config import MachineConfig

HEADERS: Final = ("what", "where", "data", "MB", "last used", "used by")


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """List static networks, features and optical flow in the cache directory, and the runs that were made from them.

    `--prune` removes what no run of these folders uses, and optical flow, which no run remembers. All of it is made
    again when it is needed: features and flow in minutes, static networks in as long as their training takes. A run
    whose features are not here may need any static network, which then stands with a question mark.
    """

    runs: Positional[tuple[Path, ...]] = (Path("runs"),)
    """Folders of runs."""
    cache_dir: Path | None = None
    """The cache directory; by default $DYNCELL_CACHE or ~/.cache/dyncell."""
    prune: bool = False
    """Remove what no run uses, after a question."""
    yes: bool = False
    """Do not ask."""


@dataclass(frozen=True)
class Item:
    """Something in the cache that is kept or removed as a whole: a file, or the folder of a static network."""

    path: Path
    kind: str
    data: str
    """Name of the data set."""
    users: tuple[str, ...]

    @property
    def files(self) -> list[Path]:
        return [self.path] if self.path.is_file() else [path for path in self.path.rglob("*") if path.is_file()]

    @property
    def size(self) -> int:
        return sum(path.stat().st_size for path in self.files)

    @property
    def age(self) -> float:
        """Seconds since one of the files was read or written."""
        stats = [path.stat() for path in self.files]
        return time.time() - max((max(stat.st_atime, stat.st_mtime) for stat in stats), default=time.time())


def main(arguments: Arguments) -> None:
    """List, and prune if that is asked for. Raises RunError for a run that cannot be read: it may use anything."""
    from tabulate import tabulate  # --help need not wait for it

    directory = MachineConfig(cache_dir=arguments.cache_dir).cache
    items = list(contents(directory, users(arguments.runs)))
    print(f"{directory}: {sum(item.size for item in items) / 1e9:.2f} GB")
    if items:
        print(tabulate([_line(item, directory) for item in items], HEADERS, "simple", disable_numparse=True))
    unused = [item for item in items if not item.users]
    if arguments.prune and unused and (arguments.yes or _agreed(unused, arguments.runs)):
        for item in unused:
            _remove(item.path)
        print(f"removed {len(unused)} of {len(items)}")


def _line(item: Item, directory: Path) -> tuple[object, ...]:
    """List one line of the table under `HEADERS`."""
    size, age = f"{item.size / 1e6:,.1f}", f"{duration(item.age)} ago"
    return item.kind, item.path.relative_to(directory), item.data, size, age, ", ".join(item.users) or "no run"


def users(folders: Sequence[Path]) -> dict[str, list[str]]:
    """Fingerprint of features -> the runs in `folders` that were computed from them."""
    found: dict[str, list[str]] = {}
    for folder in folders:
        for path in sorted(folder.glob(f"**/{CONFIG_FILE}")):
            found.setdefault(read_run(path.parent).features, []).append(str(path.parent))
    return found


def contents(directory: Path, runs: Mapping[str, Sequence[str]]) -> Iterator[Item]:
    """List a cache directory: features, optical flow and static networks, which are found by the features they made.

    Args:
        directory: need not exist.
        runs: as `users` gives them. Where the features of one are not here, any static network may be its own.
    """
    missing, by_network = dict(runs), dict[str, list[str]]()
    for path in sorted(directory.glob("features/*.h5")):
        fingerprint, spec = _attributes(path)
        mine = missing.pop(fingerprint, ())
        by_network.setdefault(str(spec.get("network")), []).extend(mine)
        yield Item(path, "features", str(spec.get("data set", "?")), tuple(mine))
    perhaps = [f"{run}?" for each in missing.values() for run in each]
    for path in sorted(directory.glob("flow-*.h5")):
        yield Item(path, "optical flow", str(_attributes(path)[1].get("data set", "?")), ())
    for folder in sorted(path.parent for path in directory.glob("static/*/network.pt")):
        network, data = _network(folder / "network.pt")
        yield Item(folder, "static network", data, (*by_network.get(network, ()), *perhaps))


def _attributes(path: Path) -> tuple[str, Mapping[str, Any]]:
    """Return fingerprint and spec of a file of features or flow; nothing of one that is damaged."""
    from cache.sealed import map_arrays

    try:
        attributes, _ = map_arrays(path, verify=False)
        return attributes["fingerprint"], json.loads(attributes["spec"])
    except (DataError, OSError, KeyError, ValueError):
        return "", {"data set": "? (damaged)"}


def _network(path: Path) -> tuple[str, str]:
    """Return the fingerprint of a static network's weights and the data set that it was trained on."""
    from cache.static.network import load_checkpoint, weights_fingerprint

    try:
        network, meta = load_checkpoint(path)
    except DataError:
        return "", "? (damaged)"
    return weights_fingerprint(network), str(meta.get("dataset", "?"))


def _agreed(unused: Sequence[Item], folders: Sequence[Path]) -> bool:
    size, where = sum(item.size for item in unused) / 1e9, " and ".join(map(str, folders))
    if not sys.stdin.isatty():
        raise RunError("--prune asks before it removes anything, and there is nobody to ask; --yes goes on without it")
    answer = input(f"Remove {len(unused)} that no run in {where} uses, {size:.2f} GB? [y/N] ")
    return answer.strip().lower() in ("y", "yes")


def _remove(path: Path) -> None:
    """Remove a file, or what is in a folder, unless another process is making it anew; lock files stay, as there."""
    target = path / "network.pt" if path.is_dir() else path
    lock_file = target.with_name(f"{target.name}.lock")
    with lock_file.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(f"another process is making {target}; wait for it") from None
        for part in path.iterdir() if path.is_dir() else (path,):
            if part != lock_file:
                shutil.rmtree(part) if part.is_dir() else part.unlink()


if __name__ == "__main__":
    run_command("nas.manage_cache", Arguments, None, main)
