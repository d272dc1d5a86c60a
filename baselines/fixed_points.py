"""The fixed points, by name: what every found cell is compared with, trained and scored like one."""

from collections.abc import Callable, Mapping
from typing import Final

from baselines.per_frame import PerFrame

Builder = Callable[[int, int], PerFrame]  # channels of `dec`, classes -> a head that is no cell
FIXED_POINTS: Final[Mapping[str, Builder]] = {
    "per_frame": PerFrame,
}
