"""Made-up landscapes: sums of random effects of tokens, alone and together."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
import numpy.typing as npt

from nas.settings.seeding import stream
from searchspace.genotype import Genotype
from searchspace.space import Space

MEAN: Final = 0.6  # of rewards; as CamVid has them
SPREAD: Final = 0.03
NOISE: Final = 0.01
SAMPLE: Final = 4096  # cells that mean and spread are measured on
TRIPLES: Final = 60


@dataclass(frozen=True)
class Shares:
    """Shares of the variance that effects of one, two and three tokens have."""

    single: float
    """Share of single tokens."""
    pair: float
    """Share of two tokens of a block together."""
    triple: float
    """Share of three tokens together, of any blocks."""


KINDS: Final[Mapping[str, Shares]] = {
    "made-up": Shares(single=0.5, pair=0.5, triple=0.0),  # kind to predictors that add effects up
    "rugged": Shares(single=0.25, pair=0.25, triple=0.5),
}


class MadeUp:
    """Landscape of random effects, normal and independent, brought to a mean of 0.6 and a spread of 0.03.

    Args:
        space: whose cells have values.
        shares: how much of the variance is whose.
        seed: root seed; the effects are drawn from its stream `landscape`.
    """

    mean, spread, noise = MEAN, SPREAD, NOISE

    def __init__(self, space: Space, shares: Shares, seed: int) -> None:
        self.space, self.shares = space, shares
        rng = np.random.default_rng(stream(seed, "landscape"))
        sizes = [decision.choices for decision in space.decisions]
        groups = (
            (shares.single, [(place,) for place in range(len(sizes))]),
            (shares.pair, list(_pairs(space))),
            (shares.triple, [tuple(rng.choice(len(sizes), 3, replace=False)) for _ in range(TRIPLES)]),
        )
        self._effects = [
            (places, (share / len(group)) ** 0.5 * rng.standard_normal([sizes[place] for place in places]))
            for share, group in groups
            if share
            for places in group
        ]
        sample = np.stack([rng.integers(size, size=SAMPLE) for size in sizes])
        values = self._sum(sample)
        self._shift, self._scale = float(values.mean()), float(values.std())

    def value(self, cell: Genotype) -> float:
        """Return the true value of a cell of the space."""
        [raw] = self._sum(np.array(self.space.tokens(cell))[:, None])
        return MEAN + SPREAD * (float(raw) - self._shift) / self._scale

    def describe(self) -> str:
        """Return a line about the shares of the variance, and the noise."""
        kinds = ", ".join(f"{share:.0%} {kind}" for kind, share in vars(self.shares).items() if share)
        return f"made up: effects of tokens, {kinds}; spread {SPREAD}, noise {NOISE}"

    def _sum(self, tokens: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Add the effects up for cells (D, N), to (N,)."""
        values = np.zeros(tokens.shape[1])
        for places, table in self._effects:
            values += table[tuple(tokens[place] for place in places)]
        return values


def _pairs(space: Space) -> Iterator[tuple[int, int]]:
    """Yield the places of every two tokens of a block."""
    for one, two in combinations(range(len(space.decisions)), 2):
        if space.decisions[one].block == space.decisions[two].block:
            yield one, two
