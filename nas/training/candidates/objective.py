"""Objectives: what a candidate's scores are worth, and what is left of it under a target of cost, the reward."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from nas.settings.config import CandidateConfig

Numbers = Mapping[str, float]

EXPONENT: Final = 1.0
"""Weight of the cost beyond the target. With 1, MnasNet's hard target (alpha 0, beta -1), who costs 5 % too much loses
5 % of its worth. That is how much random cells differ (a standard deviation of 0.03 at 0.62), so that hardly a cell
beyond the target is among the best. With the soft 0.07, the per-frame network would win at half the cost."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """One way of telling what scores are worth, and how to speak of it."""

    label: str
    """Name in figures and tables."""
    explanation: str
    """Noun phrase that says how the worth is found."""
    worth: Callable[[Numbers], float]
    """Maps scores (`miou`, `fwiou`, `mean_accuracy`, `agreement_miou`, `agreement`, each in [0, 1])
    to [0, 1]."""


def geometric_mean(scores: Numbers) -> float:
    """Return the cube root of mIoU x fwIoU x mean class accuracy (Nekrasov et al., CVPR 2019, section 3.3)."""
    return float((scores["miou"] * scores["fwiou"] * scores["mean_accuracy"]) ** (1 / 3))


def agreement(scores: Numbers) -> float:
    """Return the square root of the mIoU of the static network's own labels x the share of pixels that get them."""
    return float((scores["agreement_miou"] * scores["agreement"]) ** (1 / 2))


def factor_of_cost(cost: float, target: float | None) -> float:
    """Return what a worth is multiplied by: min(1, target / cost) ^ EXPONENT, in (0, 1].

    The weighted product of MnasNet (Tan et al., CVPR 2019, arXiv:1807.11626, eq. 2 and 3), which asks for no more than
    the target.

    Args:
        cost: multiply-adds or time, on the mean over a clip, over the per-frame network's.
        target: the cost that nothing is lost at; None for none, which is 1 at any cost.
    """
    return 1.0 if target is None else float(factors_of_costs(np.array(cost), target))


def factors_of_costs(costs: npt.NDArray[np.float64], target: float) -> npt.NDArray[np.float64]:
    """Return what `factor_of_cost` does for each of many costs, of any shape."""
    factors: npt.NDArray[np.float64] = np.minimum(1.0, target / np.maximum(costs, target)) ** EXPONENT
    return factors


UNITS: Final = {"macs": "multiply-adds", "latency": "time"}
"""Name of what costs are counted in, by the setting."""

OBJECTIVES: Final[Mapping[str, Objective]] = {
    "geometric_mean": Objective(
        label="geometric mean",
        explanation="the geometric mean of mIoU, fwIoU and mean class accuracy",
        worth=geometric_mean,
    ),
    "agreement": Objective(
        label="agreement",
        explanation="agreement with the static network: the geometric mean of the mIoU of its own labels and of the "
        "share of pixels that get them",
        worth=agreement,
    ),
}


def label(config: CandidateConfig) -> str:
    """Name the reward in figures: the objective, and what costs do to it."""
    name, target = OBJECTIVES[config.objective].label, config.max_cost
    return name if target is None else f"{name}, times {target:g} / {UNITS[config.cost]} beyond that"


def explanation(config: CandidateConfig) -> str:
    """Say how the reward is found."""
    worth, target = OBJECTIVES[config.objective].explanation, config.max_cost
    if target is None:
        return worth
    factor = f"min(1, {target:g} / cost) ^ {EXPONENT:g}"
    return f"{worth}, times {factor}, where costs are {UNITS[config.cost]} and the per-frame network's is 1"
