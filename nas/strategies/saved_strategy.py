"""SavedStrategy: what a strategy has learnt, saved every few trials, so that a resumed search need not learn it again.

The log of trials stays the truth. What was saved counts only if it was learnt from the very trials that the log holds;
otherwise the strategy learns from the log from its beginning, as one that saves nothing does, with the same result.
"""

import logging
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from xxhash import xxh3_128

from cache.errors import DataError
from cache.tensor_files import DAMAGED, brief, load_tensors, save_tensors
from nas.runs.trial import Trial
from nas.settings.errors import RunError
from nas.strategies.strategy import Resumable
from searchspace.genotype import Genotype

log = logging.getLogger(__name__)

EVERY: Final = 10  # trials; learning from so many again takes about half a second


class SavedStrategy:
    """A strategy that answers from the log up to where it was saved, and is the strategy itself from there on."""

    def __init__(self, strategy: Resumable, path: Path, trials: Iterable[Trial], lookahead: int) -> None:
        """Restore what was saved, if it was.

        Args:
            strategy: a fresh one, not asked or told anything.
            path: the file.
            trials: the log; the search tells them again.
            lookahead: the search's.

        Raises:
            RunError: what was saved is of another version.
        """
        self._strategy, self._path, self._lookahead = strategy, path, lookahead
        self._asked = self._told = self._saved = 0  # trials
        self._digest = xxh3_128()
        self._cells: deque[Genotype] = deque()  # asked for before the strategy was saved, oldest first
        if path.exists():
            self._restore({trial.number: trial for trial in trials})

    def ask(self) -> Genotype:
        self._asked += 1
        return self._cells.popleft() if self._cells else self._strategy.ask()

    def tell(self, trial: Trial) -> None:
        self._told += 1
        self._digest.update(_line(trial))
        if self._told <= self._saved:
            return
        self._strategy.tell(trial)
        # Near the end fewer are asked for ahead; should the search be prolonged, they would be missing.
        if self._told % EVERY == 0 and self._asked - self._told == self._lookahead - 1:
            state = {"told": self._told, "digest": self._digest.hexdigest(), "strategy": self._strategy.state_dict()}
            save_tensors(self._path, state)

    def _restore(self, trials: dict[int | None, Trial]) -> None:
        try:
            state = load_tensors(self._path)
            told = [trials[number] for number in range(state["told"]) if number in trials]
            if xxh3_128(b"".join(map(_line, told))).hexdigest() != state["digest"]:
                log.warning(
                    "%s was learnt from other trials than those of the log, which are learnt from anew", self._path
                )
                return
            self._strategy.load_state_dict(state["strategy"])
        except DataError as error:
            log.warning("%s; the log is learnt from anew", error)
        except DAMAGED as error:
            raise RunError(f"{self._path} is of another version ({brief(error)}); remove it and start again") from error
        else:
            self._saved = len(told)
            cells = [trial.genotype for trial in told if trial.genotype is not None]
            self._cells.extend([*cells, *self._strategy.pending_cells()])


def _line(trial: Trial) -> bytes:
    """Return what a strategy learns from a trial, as bytes."""
    return f"{trial.number} {trial.genotype} {trial.reward!r} {sorted(trial.cost.items())}\n".encode()
