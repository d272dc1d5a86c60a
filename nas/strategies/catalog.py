"""The strategies by name, with the settings that each reads; one of a person's own is `package.module:name`."""

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

from nas.runs.ranking import RELATIVE
from nas.settings.config import SearchConfig
from nas.settings.errors import RunError
from nas.strategies.strategy import Strategy
from searchspace.genotype import Genotype
from searchspace.space import Space

Cells = Sequence[Genotype]
Builder = Callable[[SearchConfig, Space, Cells], Strategy]
"""Makes a strategy from the search's settings, the space, and the cells that it shall start from (often none)."""


@dataclass(frozen=True)
class Entry:
    """A row of the catalog."""

    build: Builder
    settings: tuple[str, ...]
    """Sections and settings that the builder reads, beside the search's seed and its target of cost."""

    @property
    def starts_from_cells(self) -> bool:
        """Tell whether the strategy can start from cells, and not from nothing."""
        return "warm_start" in self.settings


# The builders import what they build: PPO loads torch, for which a comparison of runs need not wait.
def _guided_ppo(config: SearchConfig, space: Space, start: Cells) -> Strategy:
    from nas.strategies.guided_ppo import GuidedPPO
    from nas.strategies.predictor import CostTarget

    limit = config.candidate.max_cost
    target = None if limit is None else CostTarget(RELATIVE[config.candidate.cost], limit)
    return GuidedPPO(space, config.controller, config.ppo, config.predictor, config.seed, start, target)


def _plain_ppo(config: SearchConfig, space: Space, start: Cells) -> Strategy:
    from nas.strategies.ppo import PPO

    return PPO(space, config.controller, config.ppo, config.seed, start)


def _uniform(config: SearchConfig, space: Space, start: Cells) -> Strategy:
    from nas.strategies.uniform import Uniform

    return Uniform(space, config.seed)


def _evolution(config: SearchConfig, space: Space, start: Cells) -> Strategy:
    from nas.strategies.evolution import Evolution

    return Evolution(space, config.evolution, config.seed, start)


STRATEGIES: Final[Mapping[str, Entry]] = {
    "ppo": Entry(_guided_ppo, ("ppo", "controller", "predictor", "warm_start")),
    "ppo_plain": Entry(_plain_ppo, ("ppo", "controller", "warm_start")),
    "random": Entry(_uniform, ()),
    "evolution": Entry(_evolution, ("evolution", "warm_start")),
}


def settings_of(name: str) -> tuple[str, ...]:
    """Return the sections and settings that a strategy reads; of one's own, only whether it starts from cells."""
    return STRATEGIES[name].settings if name in STRATEGIES else ("warm_start",)


def make_strategy(config: SearchConfig, space: Space, fixed_points: Iterable[Genotype | None] = ()) -> Strategy:
    """Make the strategy that `config.strategy` names; it has not been asked or told anything yet.

    Args:
        config: of the search; with `warm_start` the strategy starts from the fixed points.
        space: to sample from.
        fixed_points: their cells; None of one that is no cell.

    Raises:
        RunError: there is no such strategy, or it is told to start from cells and cannot, or there are none.
        SpaceError: the strategy shall start from a cell that is not in the space.
    """
    name = config.strategy
    entry = STRATEGIES[name] if name in STRATEGIES else Entry(_own_builder(name), settings_of(name))
    if config.warm_start and not entry.starts_from_cells:
        able = [each for each, row in STRATEGIES.items() if row.starts_from_cells]
        raise RunError(f"--warm-start needs --strategy {' or '.join(able)}, but got {name!r}")
    cells = [cell for cell in fixed_points if cell is not None] if config.warm_start else []
    if config.warm_start and not cells:
        raise RunError("--warm-start has no cell to start from: name one with --fixed-points, such as tmanet")
    strategy = entry.build(config, space, cells)
    if not isinstance(strategy, Strategy):
        raise RunError(f"--strategy {name} made {type(strategy).__name__}, which is no strategy: it lacks ask or tell")
    return strategy


def _own_builder(name: str) -> Builder:
    """Import `package.module:name`, also from the working directory. Raises RunError if it cannot be had or called."""
    module_name, _, attribute = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        module = import_module(module_name)
    except (ImportError, SyntaxError) as error:
        raise RunError(
            f"--strategy {name}: the module {module_name} cannot be imported from {here} ({error})"
        ) from error
    builder = getattr(module, attribute, None)
    if builder is None:
        raise RunError(f"--strategy {name}: {module.__file__} defines no {attribute!r}")
    try:
        inspect.signature(builder).bind("config", "space", "start")
    except (TypeError, ValueError) as error:
        raise RunError(
            f"--strategy {name} is no strategy: it must be a class or function that is called with the settings, the "
            f"space and the cells to start from, (config, space, start); {error}"
        ) from error
    made: Builder = builder
    return made
