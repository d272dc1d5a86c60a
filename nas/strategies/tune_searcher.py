"""Tune searcher: lets people drive a `ray.tune` run of their own with our strategies. Nothing else imports this.

    searcher = StrategySearcher(SearchConfig(strategy="evolution"))
    tune.Tuner(trainable, tune_config=tune.TuneConfig(search_alg=searcher, num_samples=100)).fit()

The trainable finds a genotype, as `Genotype.to_json` writes it, in `config["genotype"]`, and reports `reward`, the
higher the better. Tune finishes trials in any order, but as in `nas.search` the strategy is told in the order of
suggestions, and trial n is suggested exactly between the results of trials n - L and n - L + 1, for L =
`config.lookahead`. So a seed gives the same cells whatever runs at the same time.
"""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from baselines.fixed_points import FIXED_POINTS, select
from cache.atomic import write_text
from nas.runs.trial import Trial
from nas.settings.automatic import load_space
from nas.settings.config import SearchConfig
from nas.settings.errors import RunError
from nas.strategies.catalog import make_strategy
from nas.strategies.strategy import Strategy
from searchspace.genotype import Genotype


class StrategySearcher(Searcher):
    """A Tune search algorithm around the strategy, space, seed and look-ahead of `config`.

    Args:
        config: of a search; what it says on data, training and machines is not looked at.
        metric: name under which the trainable reports its reward.
    """

    CKPT_FILE_TMPL = "searcher-state-{}.json"  # Tune's own is .pkl, but only the name

    def __init__(self, config: SearchConfig, metric: str = "reward") -> None:
        super().__init__(metric=metric, mode="max")
        self._config = config
        self._space = load_space(config.space)
        self._start({})

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Propose a cell; None, upon which Tune asks again later, while the trial to be told first is running."""
        oldest = len(self._suggested) - self._config.lookahead
        if oldest >= 0:
            told_next, genotype = self._suggested[oldest]
            if told_next not in self._rewards:
                return None
            self._strategy.tell(_trial(oldest, genotype, self._rewards[told_next]))
        genotype = self._strategy.ask()
        self._suggested.append((trial_id, genotype))
        return {"genotype": genotype.to_json()}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        reward = math.nan if error or result is None else float(result.get(self.metric, math.nan))
        self._rewards[trial_id] = reward if math.isfinite(reward) else None  # Tune lets NaN pass; it is a failure

    def save(self, checkpoint_path: str) -> None:
        """Write what was suggested and how it did, as JSON."""
        suggested = [{"trial_id": trial_id, "genotype": genotype.to_json()} for trial_id, genotype in self._suggested]
        write_text(Path(checkpoint_path), json.dumps({"suggested": suggested, "rewards": self._rewards}))

    def restore(self, checkpoint_path: str) -> None:
        """Rebuild the strategy by replaying what `save` wrote.

        Raises:
            RunError: the file is damaged, or this configuration suggests other cells than those in it.
        """
        try:
            state = json.loads(Path(checkpoint_path).read_text(encoding="utf-8"))
            suggested = [(entry["trial_id"], entry["genotype"]) for entry in state["suggested"]]
            rewards = dict(state["rewards"])
        except (ValueError, KeyError, TypeError) as cause:
            raise RunError(f"{checkpoint_path} is not the state of a searcher: {cause!r}") from cause
        self._start(rewards)
        for number, (trial_id, genotype) in enumerate(suggested):
            if self.suggest(trial_id) != {"genotype": genotype}:
                raise RunError(f"{checkpoint_path} is of another configuration: trial {number} would be another cell")

    def _start(self, rewards: dict[str, float | None]) -> None:
        fixed_points = select(FIXED_POINTS, self._config.fixed_points).values()
        config = replace(self._config, candidate=replace(self._config.candidate, max_cost=None))  # Tune tells no costs
        self._strategy: Strategy = make_strategy(config, self._space, fixed_points)
        self._suggested: list[tuple[str, Genotype]] = []  # by number, with Tune's name of the trial
        self._rewards = rewards  # of trials that are over; None if failed


def _trial(number: int, genotype: Genotype, reward: float | None) -> Trial:
    if reward is None:
        return Trial(number=number, genotype=genotype, status="failed", error="tune: it reported no finite reward")
    return Trial(number=number, genotype=genotype, status="finished", reward=reward)
