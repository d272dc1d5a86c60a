"""Strategy: something that can be asked for a genotype and told how it did, which is all that the search loop knows.

A strategy is a pure function of its seed and of what it was told, in order. Replaying a log of trials through a fresh
strategy of the same seed therefore rebuilds it, which is how a run resumes. What else it can do is optional.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from nas.runs.trial import Trial
from searchspace.genotype import Genotype


@runtime_checkable
class Strategy(Protocol):
    """Proposes cells.

    The search calls `ask` for trial n exactly once, and `tell` strictly in the order of the trials' numbers.

    `lookahead` trials may have been asked for and not yet told. Trials that failed are told too: a strategy must not
    learn a reward from them (they have none), but may need to know that they are over.
    """

    def ask(self) -> Genotype:
        """Propose the next cell, one of the space."""

    def tell(self, trial: Trial) -> None:
        """Take note of how a cell did."""


@runtime_checkable
class Resumable(Strategy, Protocol):
    """A strategy that saves what it has learnt, so that resuming a long search need not learn it all again."""

    def state_dict(self) -> dict[str, Any]:
        """Return all that asking and telling have changed, as tensors and plain values."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become what `state_dict` was taken of; the settings must be the same."""

    def pending_cells(self) -> list[Genotype]:
        """List the cells asked for and not told, oldest first."""


@runtime_checkable
class Exportable(Strategy, Protocol):
    """A strategy that leaves what it has learnt in a run's directory, for use elsewhere; resuming needs none of it."""

    def export(self, directory: Path) -> None:
        """Write files to `directory`."""


@runtime_checkable
class CostAware(Strategy, Protocol):
    """A strategy that uses what cells cost under a target: that can be counted for cells that nobody has trained."""

    def know_costs(self, cost_of: Callable[[Genotype], float]) -> None:
        """Take what counts a cell's cost as the target does; called once, before anything is asked or told."""
