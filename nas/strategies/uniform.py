"""Uniform: random search, the yardstick. Every token is drawn uniformly, and nothing is learned."""

from numpy.random import default_rng

from nas.runs.trial import Trial
from nas.settings.seeding import stream
from searchspace.genotype import Genotype
from searchspace.space import Space


class Uniform:
    """The strategy `random`."""

    def __init__(self, space: Space, seed: int) -> None:
        self.space, self.seed = space, seed
        self.asked = 0

    def ask(self) -> Genotype:
        rng = default_rng(stream(self.seed, "sample", self.asked))
        self.asked += 1
        return self.space.uniform(rng)

    def tell(self, trial: Trial) -> None:
        """Learn nothing."""
