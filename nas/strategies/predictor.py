"""Predictor: what cells may be worth, learnt from the trials so far, and whether it is to be believed.

A Bayesian ridge over what is decided where, how often each choice is made and what goes with what, or over what a
cell's result flows through: it fits in milliseconds, finds its penalties itself, and says how sure it is.

Under a target of cost a reward has a kink that a line misses, so that worth is learnt apart from cost, which is counted
where it can be.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import BayesianRidge, RidgeCV
from threadpoolctl import threadpool_limits

from nas.training.candidates.objective import factors_of_costs
from searchspace.encoding import Encoding, Features
from searchspace.genotype import Genotype
from searchspace.space import Space

Tokens = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CostTarget:
    """Target of cost that rewards are under."""

    name: str
    """Name of the cost in `Trial.cost`."""
    limit: float
    """Cost that nothing is lost at."""


class Predictor:
    """Regression of rewards on the cells of a space; it starts without knowledge.

    It sees cells in two ways, as what is decided where and as what their result flows through, and believes the one
    that predicts cells left out better. Under a target it is what they are worth that it predicts so, and, seeing them
    in both ways at once, the logarithm of what they cost, unless that can be counted (`know_costs`); what the target
    takes from that follows.
    """

    def __init__(self, space: Space, target: CostTarget | None = None) -> None:
        self._space, self._target, self._costs = space, target, BayesianRidge()
        self._cost_of: Callable[[Genotype], float] | None = None
        encoding = Encoding(space)
        self._views: tuple[Callable[[Tokens], Features], ...] = (encoding.encode_tokens, encoding.encode_flow)
        self._view: Callable[[Tokens], Features] = encoding.encode_tokens
        self._model: BayesianRidge | None = None
        self.explained = 0.0
        """Share of the squared error of the mean reward that it saves on cells left out; at most 1."""

    def know_costs(self, cost_of: Callable[[Genotype], float]) -> None:
        """Count what cells cost from now on, and learn it no longer."""
        self._cost_of = cost_of

    @property
    def knows(self) -> bool:
        """Tell whether it predicts cells that it has not seen better than the mean of the others does."""
        return self.explained > 0

    def fit(self, tokens: Tokens, rewards: Values, costs: Values | None = None) -> None:
        """Forget everything, and learn from cells (n, D) and their rewards (n,), n at least 2.

        Args:
            tokens: of the cells.
            rewards: of their trials.
            costs: of the cells (n,), positive; read under a target only, and needed there.
        """
        # The last digits depend on the number of threads, and they can decide between two cells.
        with threadpool_limits(limits=1):
            if self._target is not None:
                assert costs is not None, "rewards under a target need costs"
                if self._cost_of is None:
                    self._costs.fit(self._both_views(tokens), np.log(costs))
                rewards = rewards / factors_of_costs(costs, self._target.limit)
            fitted = [(*_fit(view(tokens).astype(np.float64), rewards), view) for view in self._views]
        self.explained, self._model, self._view = max(fitted, key=lambda each: each[0])

    def predict(self, tokens: Tokens) -> tuple[Values, Values]:
        """Predict cells (n, D): the mean of the true reward and its standard deviation, both (n,)."""
        assert self._model is not None, "it has learnt nothing yet"
        with threadpool_limits(limits=1):
            mean, deviation = self._model.predict(self._view(tokens), return_std=True)
            deviation = np.sqrt(np.maximum(deviation**2 - 1 / self._model.alpha_, 0))  # less the noise of a trial
            if self._target is None:
                return mean, deviation
            factors = factors_of_costs(self._costs_of(tokens), self._target.limit)
        return mean * factors, deviation * factors

    def _costs_of(self, tokens: Tokens) -> Values:
        if self._cost_of is not None:
            return np.array([self._cost_of(self._space.genotype(tuple(row))) for row in tokens.tolist()])
        costs: Values = np.exp(self._costs.predict(self._both_views(tokens)))
        return costs

    def _both_views(self, tokens: Tokens) -> Values:
        return np.concatenate([view(tokens) for view in self._views], 1).astype(np.float64)


def _fit(features: Values, rewards: Values) -> tuple[float, BayesianRidge]:
    """Fit a ridge regression; return what it explains of cells left out, and itself."""
    model = BayesianRidge().fit(features, rewards)
    return explained_of_others(features, rewards, model.lambda_ / model.alpha_), model


def explained_of_others(features: Values, rewards: Values, penalty: float) -> float:
    """Return the share of the squared error that ridge regression saves against the mean, each fitted on the others."""
    missed = RidgeCV([penalty], store_cv_results=True).fit(features, rewards).cv_results_  # squares, leave-one-out
    n = len(rewards)
    missed_by_mean = ((rewards - rewards.mean()) * n / (n - 1)) ** 2
    total = float(missed_by_mean.sum())
    return 1 - float(missed.sum()) / total if total > 0 else 0.0
