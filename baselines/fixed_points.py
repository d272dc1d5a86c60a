"""The fixed points, by name: what every found cell is compared with, trained and scored like one."""

from collections.abc import Mapping, Sequence
from typing import Final

from baselines.lean import lean
from baselines.lmanet import lmanet
from baselines.tdnet import tdnet
from baselines.tmanet import tmanet
from searchspace.errors import SpaceError
from searchspace.genotype import Genotype

STATIC: Final = "static"
"""The static network as it is: a fixed point that trains nothing, and so the floor that no recipe can lower."""

FIXED_POINTS: Final[Mapping[str, Genotype | None]] = {
    STATIC: None,
    "per_frame": None,  # no cell: `baselines/per_frame.py`
    "tmanet": tmanet(slots=4),
    "lmanet": lmanet(slots=4),
    "tdnet": tdnet(),
    "tmanet_t1": tmanet(slots=1),
    "lmanet_t1": lmanet(slots=1),
    "lean": lean(),
}


def select(known: Mapping[str, Genotype | None], names: Sequence[str]) -> dict[str, Genotype | None]:
    """Select fixed points by name. Raises SpaceError for a name that there is not."""
    for name in names:
        if name not in known:
            raise SpaceError(f"unknown fixed point {name!r}; known are {', '.join(known)}")
    return {name: known[name] for name in names}
