"""Surrogate: a landscape predicted from a table of trained cells, with the noise that repeated trainings show."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import BayesianRidge
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold, cross_val_predict

from nas.landscapes.table import Table
from nas.settings.errors import RunError
from searchspace.encoding import Encoding
from searchspace.genotype import Genotype

PREDICTORS: Final[Mapping[str, Callable[[], Any]]] = {
    "ridge": BayesianRidge,
    "forest": lambda: RandomForestRegressor(100, max_features=1 / 3, random_state=0),
}
FOLDS: Final = 5
FEWEST: Final = 20  # cells that a surrogate is fitted on
UNIFORM: Final = 2000  # cells that mean and spread are measured on
GOOD: Final = 0.25  # share of the held-out cells that count as good

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Quality:
    """How well cells are predicted that a predictor has not seen, by cross-validation in 5 parts."""

    predictor: str
    r2: float
    """Share of the variance explained."""
    tau: float
    """Kendall's rank correlation."""
    tau_of_good: float
    """The same among the best quarter of the cells."""


class Surrogate:
    """Landscape of the predictor that does best in cross-validation on a table.

    Args:
        table: of trained cells.

    Raises:
        RunError: the table has too few cells, or none of them twice, so that the noise is unknown.
    """

    def __init__(self, table: Table) -> None:
        trained: dict[str, list[float]] = defaultdict(list)
        cells: dict[str, Genotype] = {}
        for row in table.rows:
            trained[row.key].append(row.reward)
            cells.setdefault(row.key, table.space.genotype(row.tokens))
        if len(cells) < FEWEST:
            raise RunError(f"a surrogate needs a table of {FEWEST} different cells or more, but this has {len(cells)}")
        self.space, self.noise = table.space, noise_of(list(trained.values()))
        self._encoding = Encoding(table.space)
        features, values = self._encoding(list(cells.values())), np.array([np.mean(each) for each in trained.values()])
        self.qualities = tuple(quality(name, features, values) for name in PREDICTORS)
        self.best = max(self.qualities, key=lambda each: each.tau)
        self._predictor = PREDICTORS[self.best.predictor]().fit(features, values)
        rng = np.random.default_rng(0)
        uniform = self._predict([table.space.uniform(rng) for _ in range(UNIFORM)])
        self._known: dict[Genotype, float] = {}
        self.mean, self.spread = float(uniform.mean()), float(uniform.std())

    def value(self, cell: Genotype) -> float:
        """Predict the reward of a cell of the space, without noise."""
        if cell not in self._known:
            self._known[cell] = float(self._predict([cell])[0])
        return self._known[cell]

    def describe(self) -> str:
        """Return a line on how well each predictor does on cells that it has not seen, and on the noise."""
        lines = (
            f"{each.predictor}: R² {each.r2:.2f}, tau {each.tau:.2f}, in the best quarter {each.tau_of_good:.2f}"
            for each in self.qualities
        )
        return f"surrogate {self.best.predictor}, spread {self.spread:.4f}, noise {self.noise:.4f} ({'; '.join(lines)})"

    def _predict(self, cells: Sequence[Genotype]) -> Values:
        predicted: Values = self._predictor.predict(self._encoding(cells))
        return predicted


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


def quality(name: str, features: npt.NDArray[np.float32], values: Values) -> Quality:
    """Measure a predictor on cells that it has not seen."""
    folds = KFold(FOLDS, shuffle=True, random_state=0)
    predicted = cross_val_predict(PREDICTORS[name](), features, values, cv=folds)
    good = values >= np.quantile(values, 1 - GOOD)
    return Quality(
        predictor=name,
        r2=float(r2_score(values, predicted)),
        tau=float(kendalltau(values, predicted).statistic),
        tau_of_good=float(kendalltau(values[good], predicted[good]).statistic),
    )
