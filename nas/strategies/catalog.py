"""The strategies by name."""

from collections.abc import Callable, Mapping
from typing import Final

from nas.runs.config import SearchConfig
from nas.strategies.evolution import Evolution
from nas.strategies.ppo import PPO
from nas.strategies.strategy import Strategy
from nas.strategies.uniform import Uniform
from searchspace.space import Space

STRATEGIES: Final[Mapping[str, Callable[[SearchConfig, Space], Strategy]]] = {
    "ppo": lambda config, space: PPO(space, config.controller, config.ppo, config.seed),
    "random": lambda config, space: Uniform(space, config.seed),
    "evolution": lambda config, space: Evolution(space, config.evolution, config.seed),
}


def make_strategy(config: SearchConfig, space: Space) -> Strategy:
    """A strategy that has not been asked anything yet, as `config.strategy` names it."""
    return STRATEGIES[config.strategy](config, space)
