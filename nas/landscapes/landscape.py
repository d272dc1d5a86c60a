"""Landscape: what every cell of a space is worth, known without training it, so that searches can be replayed."""

from typing import Protocol

from searchspace.genotype import Genotype


class Landscape(Protocol):
    """A true value for every cell, and how far a single trial's reward may be from it."""

    mean: float
    """Mean true value of uniformly drawn cells."""
    spread: float
    """Standard deviation of the true values of uniformly drawn cells."""
    noise: float
    """Standard deviation of a reward around the true value of its cell."""

    def value(self, cell: Genotype) -> float:
        """Return the true value of a cell."""

    def describe(self) -> str:
        """Return a line about the landscape, for a person."""
