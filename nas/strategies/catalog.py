"""The strategies by name."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from nas.settings.config import SearchConfig
from nas.strategies.evolution import Evolution
from nas.strategies.ppo import PPO
from nas.strategies.strategy import Strategy
from nas.strategies.uniform import Uniform
from searchspace.genotype import Genotype
from searchspace.space import Space

Cells = Sequence[Genotype]
STRATEGIES: Final[Mapping[str, Callable[[SearchConfig, Space, Cells], Strategy]]] = {
    "ppo": lambda config, space, start: PPO(space, config.controller, config.ppo, config.seed, start),
    "random": lambda config, space, start: Uniform(space, config.seed),
    "evolution": lambda config, space, start: Evolution(space, config.evolution, config.seed, start),
}


def make_strategy(config: SearchConfig, space: Space, fixed_points: Cells = ()) -> Strategy:
    """A strategy that has not been asked anything yet, as `config.strategy` names it.

    Args:
        config: of the search; with `warm_start` the strategy starts from the fixed points.
        space: to sample from.
        fixed_points: their cells.

    Raises:
        SpaceError: the strategy shall start from a cell that is not in the space.
    """
    return STRATEGIES[config.strategy](config, space, fixed_points if config.warm_start else ())
