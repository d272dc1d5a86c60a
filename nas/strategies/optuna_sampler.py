"""Optuna sampler: lets any sampler of Optuna propose cells, one categorical parameter a token. Nothing imports this.

`--strategy nas.strategies.optuna_sampler:tpe` is its tree-structured Parzen estimator, a yardstick. Another sampler
takes two lines in a module of one's own:

    def strategy(config, space, start):
        return OptunaStrategy(space, optuna.samplers.GPSampler(seed=config.seed))
"""

from collections import deque
from collections.abc import Sequence

from nas.runs.trial import Trial
from nas.settings.config import SearchConfig
from nas.settings.errors import RunError
from nas.settings.seeding import stream
from searchspace.genotype import Genotype
from searchspace.space import Space

try:
    import optuna
except ImportError as error:
    raise RunError("strategies of Optuna need it: pip install optuna") from error


class OptunaStrategy:
    """A study in memory; cells to start from are the first ones proposed.

    Args:
        space: to propose cells of.
        sampler: any of Optuna's; give it a seed.
        start: cells to start from.
    """

    def __init__(self, space: Space, sampler: optuna.samplers.BaseSampler, start: Sequence[Genotype] = ()) -> None:
        self._space = space
        self._choices: dict[str, optuna.distributions.BaseDistribution] = {
            f"{place}": optuna.distributions.CategoricalDistribution(range(decision.choices))
            for place, decision in enumerate(space.decisions)
        }
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # it would print a line a trial
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        for genotype in start:
            self._study.enqueue_trial(dict(zip(self._choices, space.tokens(genotype), strict=True)))
        self._pending: deque[optuna.Trial] = deque()

    def ask(self) -> Genotype:
        trial = self._study.ask(self._choices)
        self._pending.append(trial)
        return self._space.genotype(tuple(trial.params[name] for name in self._choices))

    def tell(self, trial: Trial) -> None:
        asked = self._pending.popleft()
        if trial.reward is None:
            self._study.tell(asked, state=optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(asked, trial.reward)


def tpe(config: SearchConfig, space: Space, start: Sequence[Genotype]) -> OptunaStrategy:
    """Make the strategy of the tree-structured Parzen estimator (Bergstra et al. 2011)."""
    return OptunaStrategy(space, optuna.samplers.TPESampler(seed=stream(config.seed, "optuna") % 2**32), start)
