"""Job: what a worker is told about one evaluation. Everything it decides by is fixed when the trial is suggested."""

from dataclasses import dataclass

from nas.training.candidates.early_stopping import Halfway
from searchspace.genotype import Genotype


@dataclass(frozen=True, kw_only=True)
class Job:
    """One evaluation of a sampled genotype, which has a number, or of a fixed point, which has a name."""

    number: int | None = None
    fixed_point: str | None = None
    genotype: Genotype | None = None
    """The cell; None for a fixed point that is no cell."""
    seed: int
    """Seed of the initial weights and of the order of batches."""
    trained: bool = True
    """True if it is trained, False if it is scored as it starts."""
    halfway: Halfway | None = None
    """Numbers that it is judged by half-way; None trains to the end."""
