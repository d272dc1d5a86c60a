"""Evolution: regularised evolution, whose members die of age (Real et al. 2019, arXiv:1802.01548, algorithm 1).

The parent of a cell is the best of a few members drawn from the population, which is the latest trials that did not
fail; the child differs from it in one token. Ours: the members of a tournament are drawn without replacement (the
source's with), every token is as likely to mutate (the source chooses between an input and an operation of one block),
and since cells may be asked for before the latest are told, the population is what has been told so far.
"""

from collections import deque
from collections.abc import Sequence

from numpy.random import Generator, default_rng

from nas.runs.trial import Trial
from nas.settings.seeding import stream
from nas.settings.strategy_config import EvolutionConfig
from searchspace.genotype import Genotype
from searchspace.space import Space


class Evolution:
    """The strategy `evolution`: the first `population` cells are drawn uniformly, the later ones are children.

    With a warm start, the cells that it starts from stand at the head of the first ones.
    """

    def __init__(self, space: Space, config: EvolutionConfig, seed: int, start: Sequence[Genotype] = ()) -> None:
        for genotype in start:
            space.tokens(genotype)  # raises SpaceError for a cell that children could not come from
        self.space, self.config, self.seed, self.start = space, config, seed, start
        self.asked = 0
        self.population: deque[tuple[Genotype, float]] = deque(maxlen=config.population)  # with rewards, oldest first

    def ask(self) -> Genotype:
        rng = default_rng(stream(self.seed, "sample", self.asked))
        self.asked += 1
        if self.asked <= len(self.start):
            return self.start[self.asked - 1]
        # Failures and look-ahead can leave too few members for a tournament.
        if self.asked <= self.config.population or len(self.population) < self.config.tournament:
            return self.space.uniform(rng)
        return mutate(self._parent(rng), self.space, rng)

    def tell(self, trial: Trial) -> None:
        if trial.genotype is not None and trial.reward is not None:
            self.population.append((trial.genotype, trial.reward))

    def _parent(self, rng: Generator) -> Genotype:
        drawn = rng.choice(len(self.population), self.config.tournament, replace=False)
        return max((self.population[member] for member in drawn), key=lambda member: member[1])[0]


def mutate(parent: Genotype, space: Space, rng: Generator) -> Genotype:
    """Change one token, each as likely, of those that have a choice, to another value, each as likely.

    Raises:
        ValueError: the space holds one cell only.
    """
    tokens = list(space.tokens(parent))
    place = rng.choice([place for place, decision in enumerate(space.decisions) if decision.choices > 1])
    step = rng.integers(1, space.decisions[place].choices)
    tokens[place] = int((tokens[place] + step) % space.decisions[place].choices)
    return space.genotype(tuple(tokens))
