"""SavedTraining: what a stopped training goes on from, and its curve.

`training.pt` holds the state of all parts of a training after its last validation; once it is gone, the training is
finished. `curve.csv` beside it has a row for each validation.
"""

import csv
import io
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from cache.atomic import write_text
from cache.errors import DataError
from cache.tensor_files import DAMAGED, brief, load_tensors, save_tensors
from nas.runs.progress import duration

log = logging.getLogger(__name__)

STATE: Final = "training.pt"
BEST: Final = "network.pt"
CURVE: Final = "curve.csv"


class Stateful(Protocol):
    """A network, an optimiser, a scheduler."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: dict[str, Any]) -> object: ...


class SavedTraining:
    """The parts of a training and its curve on disk; parts are restored where an earlier process left them."""

    def __init__(self, folder: Path, name: str, parts: Mapping[str, Stateful]) -> None:
        """Go on with what is in `folder`, or begin.

        Args:
            folder: folder of this training alone.
            name: name in the log.
            parts: all that changes between two epochs, by name; random streams start anew with each epoch.

        Raises:
            DataError: the file is damaged, or of another training or another version.
            OSError: the folder cannot be written or the disk is full.
        """
        self._folder, self._name, self._parts = folder, name, parts
        self.curve: list[dict[str, float]] = []
        if is_unfinished(folder):
            self._restore()
        else:
            self.save()  # from here to the end this file says that the network beside it is not final
        self._first, self._before = self.epochs, self.curve[-1]["seconds"] if self.curve else 0.0
        self._start = time.monotonic()

    @property
    def epochs(self) -> int:
        """Number of epochs completed."""
        return int(self.curve[-1]["epoch"]) if self.curve else 0

    @property
    def best(self) -> float:
        """Highest mIoU so far, in [0, 1]; -1 if there is none."""
        return max((row["miou"] for row in self.curve), default=-1.0)

    def add(self, epochs: int, row: Mapping[str, float]) -> bool:
        """Extend the curve, in memory, by `row` and the seconds that `epochs` took over all processes.

        Args:
            epochs: number of epochs completed.
            row: scores of the network after them, `miou` among them.

        Returns:
            Whether the network of this row is the best so far.
        """
        better = row["miou"] > self.best
        seconds = self._before + time.monotonic() - self._start
        self.curve.append({"epoch": epochs, **row, "seconds": seconds})
        return better

    def time_left(self, total: int, work: Callable[[int], float] = float) -> str:
        """Estimate the time until `total` epochs are done, at the pace of this process.

        Args:
            total: number of epochs.
            work: cost of so many epochs, in any unit.
        """
        spent = time.monotonic() - self._start
        return duration(spent / (work(self.epochs) - work(self._first)) * (work(total) - work(self.epochs)))

    def save(self) -> None:
        """Put the state and the curve on disk. Raises OSError if that fails; what was there stays."""
        state = {name: part.state_dict() for name, part in self._parts.items()}
        save_tensors(self._folder / STATE, state | {"curve": self.curve})
        if self.curve:
            table = io.StringIO(newline="")
            writer = csv.DictWriter(table, self.curve[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.curve)
            write_text(self._folder / CURVE, table.getvalue())

    def finish(self) -> None:
        """Mark the training as over."""
        (self._folder / STATE).unlink()

    def _restore(self) -> None:
        state = load_tensors(self._folder / STATE)
        if other := state.keys() ^ {*self._parts, "curve"}:
            raise DataError(self._not_ours(f"its parts have other names: {', '.join(sorted(map(str, other)))}"))
        try:
            for name, part in self._parts.items():
                fused = _fused(part)
                part.load_state_dict(state[name])
                if _fused(part) != fused:  # saved by another version; its steps would differ in the last digits
                    raise ValueError("its optimiser is implemented in another way")
            self.curve = [dict(row) for row in state["curve"]]
        except DAMAGED as error:
            raise DataError(self._not_ours(brief(error))) from error
        log.info("%s: going on after epoch %d", self._name, self.epochs)

    def _not_ours(self, reason: str) -> str:
        return (
            f"{self._folder / STATE} is of another training or of another version of dyncell ({reason}); "
            "finish it with that version, or remove its folder to begin anew"
        )


def _fused(part: Stateful) -> list[object]:
    """Tell how an optimiser is implemented, for each of its groups; nothing for other parts."""
    return [group.get("fused") for group in getattr(part, "param_groups", ())]


def is_unfinished(folder: Path) -> bool:
    """Tell whether a training was started in a folder and not brought to its end; nothing else answers that."""
    return (folder / STATE).exists()
