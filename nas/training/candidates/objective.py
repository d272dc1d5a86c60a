"""Objectives: what a candidate's scores and costs are worth, as one reward.

An objective with numbers of its own binds them in its row, `partial(weighted_product, target=0.5)`, say.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

Numbers = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Objective:
    """One way of turning scores and costs into a reward, and how to speak of it."""

    label: str
    """Name in figures and tables, which follows the word `reward`."""
    explanation: str
    """Noun phrase that says how the reward is found."""
    reward: Callable[[Numbers, Numbers], float]
    """Maps scores (`miou`, `fwiou`, `mean_accuracy`, each in [0, 1]) and costs (as in `Trial.cost`) to [0, 1]."""


def geometric_mean(scores: Numbers, costs: Numbers) -> float:
    """Return the cube root of mIoU x fwIoU x mean class accuracy (Nekrasov et al., CVPR 2019, section 3.3)."""
    return float((scores["miou"] * scores["fwiou"] * scores["mean_accuracy"]) ** (1 / 3))


OBJECTIVES: Final[Mapping[str, Objective]] = {
    "geometric_mean": Objective(
        label="geometric mean",
        explanation="the geometric mean of mIoU, fwIoU and mean class accuracy",
        reward=geometric_mean,
    ),
}
