"""Surrogate: a landscape predicted from a table of trained cells, with the noise that repeated trainings show.

Cells that imitate a network do not get far beyond it, so rewards crowd below a ceiling, and a model that is linear in
what it sees would promise more than any cell has. So models are fitted to the log odds of a reward against a ceiling.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import BayesianRidge
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold, cross_val_predict

from nas.landscapes.table import Row, Table
from nas.settings.errors import RunError
from searchspace.encoding import Encoding, Features
from searchspace.genotype import Genotype

MODELS: Final[Mapping[str, Callable[[], Any]]] = {
    "ridge": BayesianRidge,
    "forest": lambda: RandomForestRegressor(100, max_features=1 / 3, random_state=0),
}
VIEWS: Final = ("tokens", "flow")  # what models see of a cell: the two ways of `Encoding`
FOLDS: Final = 5
FEWEST: Final = 20  # cells that a surrogate is fitted on, and uniformly drawn ones that predictors are compared on
UNIFORM: Final = 2000  # cells that mean and spread are measured on
MARGIN: Final = 2.0  # standard deviations of the noise from the best reward of a table to the ceiling
FLOOR: Final = 0.01  # lowest reward that log odds are taken of, and least noise that the ceiling allows for
GOOD: Final = 0.25  # share of the held-out cells that count as good

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Quality:
    """How well cells are predicted that a predictor has not seen, by cross-validation in 5 parts."""

    predictor: tuple[str, str]
    """Names of the model and of what it sees."""
    r2: float
    """Share of the variance of uniformly drawn cells that is explained."""
    tau: float
    """Kendall's rank correlation among uniformly drawn cells."""
    tau_of_good: float
    """The same among the best quarter of all cells."""

    @property
    def name(self) -> str:
        """Name for a person, such as `ridge of flow`."""
        return " of ".join(self.predictor)


class Surrogate:
    """Landscape of the predictor that does best in cross-validation on a table.

    Args:
        table: of trained cells.

    Raises:
        RunError: the table has too few cells or too few of random search, or none of them twice, so that the noise is
            unknown.
    """

    def __init__(self, table: Table) -> None:
        trained: dict[str, list[Row]] = defaultdict(list)
        for row in table.searched:
            trained[row.key].append(row)
        if len(trained) < FEWEST:
            raise RunError(
                f"a surrogate needs a table of {FEWEST} different cells or more, but this has {len(trained)}"
            )
        rewards = [[row.reward for row in rows] for rows in trained.values()]
        self.space, self.noise = table.space, noise_of(rewards)
        self._encoding = Encoding(table.space)
        tokens, values = np.array([rows[0].tokens for rows in trained.values()]), np.array([*map(np.mean, rewards)])
        uniform = np.array([any(row.strategy == "random" for row in rows) for rows in trained.values()])
        if uniform.sum() < FEWEST:
            raise RunError(
                f"a surrogate needs a table with {FEWEST} cells or more of random search, on which predictors are "
                f"compared, but this has {uniform.sum()}; add runs with --strategy random"
            )
        self.ceiling = float(values.max()) + MARGIN * max(self.noise, FLOOR)
        self.qualities = tuple(
            quality((model, view), self.ceiling, self._encode(view, tokens), values, uniform)
            for model in MODELS
            for view in VIEWS
        )
        self.best = max(self.qualities, key=lambda each: each.tau)
        model, self._view = self.best.predictor
        self._predictor = below(self.ceiling, MODELS[model]()).fit(self._encode(self._view, tokens), values)
        rng = np.random.default_rng(0)
        drawn = self._predict([table.space.uniform(rng) for _ in range(UNIFORM)])
        self._known: dict[Genotype, float] = {}
        self.mean, self.spread = float(drawn.mean()), float(drawn.std())

    def value(self, cell: Genotype) -> float:
        """Predict the reward of a cell of the space, without noise."""
        if cell not in self._known:
            self._known[cell] = float(self._predict([cell])[0])
        return self._known[cell]

    def describe(self) -> str:
        """Return a line on how well each predictor does on cells that it has not seen, and on the noise."""
        lines = (
            f"{each.name}: R² {each.r2:.2f}, tau {each.tau:.2f}, in the best quarter {each.tau_of_good:.2f}"
            for each in self.qualities
        )
        return f"surrogate {self.best.name}, spread {self.spread:.4f}, noise {self.noise:.4f} ({'; '.join(lines)})"

    def _predict(self, cells: Sequence[Genotype]) -> Values:
        tokens = np.array([self.space.tokens(cell) for cell in cells])
        predicted: Values = self._predictor.predict(self._encode(self._view, tokens))
        return predicted

    def _encode(self, view: str, tokens: npt.NDArray[np.int64]) -> Features:
        return self._encoding.encode_tokens(tokens) if view == "tokens" else self._encoding.encode_flow(tokens)


def noise_of(rewards: Sequence[Sequence[float]]) -> float:
    """Estimate the standard deviation of trainings of one cell, pooled over all cells that were trained repeatedly.

    Raises:
        RunError: no cell was trained twice.
    """
    repeated = [each for each in rewards if len(each) > 1]
    if not repeated:
        raise RunError(
            "no cell of the table was trained twice, so that its noise is unknown; add runs with --repetition"
        )
    squares = sum(float(np.var(each)) * len(each) for each in repeated)
    return float((squares / sum(len(each) - 1 for each in repeated)) ** 0.5)


def below(ceiling: float, model: Any) -> TransformedTargetRegressor:  # noqa: ANN401 - an estimator of scikit-learn
    """Let a model predict log odds against a ceiling, so that what it says of a reward stays below that."""
    odds, back = partial(_log_odds, ceiling), partial(_of_log_odds, ceiling)
    return TransformedTargetRegressor(model, func=odds, inverse_func=back, check_inverse=False)


def _log_odds(ceiling: float, values: Values) -> Values:
    return np.log(np.clip(values, FLOOR, None) / (ceiling - values))


def _of_log_odds(ceiling: float, odds: Values) -> Values:
    return ceiling / (1 + np.exp(-odds))


def quality(
    predictor: tuple[str, str], ceiling: float, features: Features, values: Values, uniform: npt.NDArray[np.bool_]
) -> Quality:
    """Measure a predictor on cells that it has not seen; `uniform` tells which cells were drawn uniformly."""
    model, _ = predictor
    folds = KFold(FOLDS, shuffle=True, random_state=0)
    predicted = cross_val_predict(below(ceiling, MODELS[model]()), features, values, cv=folds)
    good = values >= np.quantile(values, 1 - GOOD)
    return Quality(
        predictor=predictor,
        r2=float(r2_score(values[uniform], predicted[uniform])),
        tau=float(kendalltau(values[uniform], predicted[uniform]).statistic),
        tau_of_good=float(kendalltau(values[good], predicted[good]).statistic),
    )
