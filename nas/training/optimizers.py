"""Settings that the optimisers of several trainings share: momentum, and the schedules poly and cosine."""

import math
from typing import Final

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

POLY_POWER: Final = 0.9
MOMENTUM: Final = 0.9


def poly(optimizer: Optimizer, steps: int) -> LambdaLR:
    """Let learning rates fall from their initial values to 0 over `steps` steps, with power 0.9."""
    return LambdaLR(optimizer, lambda step: (1 - min(step, steps) / steps) ** POLY_POWER)


def cosine(optimizer: Optimizer, steps: int) -> LambdaLR:
    """Let learning rates fall from their initial values to 0 over `steps` steps, along half a cosine."""
    return LambdaLR(optimizer, lambda step: (1 + math.cos(math.pi * min(step, steps) / steps)) / 2)
