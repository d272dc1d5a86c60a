"""Job: what a worker is told about one evaluation. Everything it decides by is fixed when the trial is suggested."""

from dataclasses import dataclass

from nas.training.candidates.early_stopping import Halfway
from searchspace.genotype import Genotype


@dataclass(frozen=True, kw_only=True)
class Job:
    """One evaluation of a sampled genotype, which has a number, of a fixed point, which has a name, or of one again."""

    number: int | None = None
    fixed_point: str | None = None
    confirms: str | None = None
    """Name of the trial or fixed point that is trained again."""
    genotype: Genotype | None = None
    """The cell; None for a fixed point that is no cell."""
    seed: int
    """Seed of the initial weights and of the order of batches."""
    epochs: int | None = None
    """Number of epochs to train; 0 scores it as it starts, None is the candidates' number."""
    halfway: Halfway | None = None
    """Numbers that it is judged by half-way; None trains to the end."""
