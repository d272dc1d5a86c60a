"""Early stopping: half-way through its training, an unpromising candidate is probably given up.

Nekrasov et al., CVPR 2019 (arXiv:1810.10804), section 3.3, after their published code: a candidate whose half-way
reward is r goes on for certain if r is above the moving average m of half-way rewards, and otherwise with probability
1 - (1 - r/m) / slack. What is ours: the average is bias-corrected (theirs starts at 0.01 and climbs by a hundredth of
each reward, so that for its first hundred trials next to nothing is stopped), the first few candidates all go on, and
the slack shrinks exactly at its counts (theirs counts some trials twice and skips thresholds).
"""

import random
from dataclasses import dataclass
from typing import Final

DECAY: Final = 0.99  # of the moving average
WARM_UP: Final = 8  # half-way rewards to have seen before anything is stopped
FIRST_SLACK: Final = 0.9
SHRINKING: Final = {100: 0.9, 200: 0.8, 300: 0.7, 400: 0.6}  # half-way rewards seen -> factor on the slack


@dataclass(frozen=True)
class Halfway:
    """Numbers that one candidate is judged by, fixed when it is suggested, so that a worker can decide alone."""

    mean: float
    """Moving average of half-way rewards; 0 lets everything go on."""
    slack: float
    """Distance below the average, as a share of it, that a reward may fall and still have a chance."""
    draw: float
    """Random draw, uniform in [0, 1)."""

    def keeps_going(self, reward: float) -> bool:
        """Say whether a candidate with this half-way reward is trained to the end."""
        return reward >= self.mean * (1 - self.draw * self.slack)


class EarlyStopping:
    """Memory of half-way rewards, in the order of the trials' numbers."""

    def __init__(self) -> None:
        self._average = 0.0  # biased towards 0 by its start; `halfway` divides that out
        self._seen = 0

    def observe(self, reward: float | None) -> None:
        """Take note of the next trial's half-way reward; None if it has none, because it failed, say."""
        if reward is not None:
            self._average += (1 - DECAY) * (reward - self._average)
            self._seen += 1

    def halfway(self, seed: int) -> Halfway:
        """Fix what a candidate suggested now will be judged by, with a draw from `seed`."""
        mean = self._average / (1 - DECAY**self._seen) if self._seen >= WARM_UP else 0.0
        return Halfway(mean, self._slack(), random.Random(seed).random())

    def _slack(self) -> float:
        slack = FIRST_SLACK
        for count, factor in SHRINKING.items():
            slack *= factor if self._seen >= count else 1
        return slack
