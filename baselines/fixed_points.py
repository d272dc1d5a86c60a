"""The fixed points, by name: what every found cell is compared with, trained and scored like one."""

from collections.abc import Mapping
from typing import Final

from baselines.lmanet import lmanet
from baselines.tdnet import tdnet
from baselines.tmanet import tmanet
from searchspace.genotype import Genotype

FIXED_POINTS: Final[Mapping[str, Genotype | None]] = {
    "per_frame": None,  # no cell: `baselines/per_frame.py`
    "tmanet": tmanet(slots=4),
    "lmanet": lmanet(slots=4),
    "tdnet": tdnet(),
    "tmanet_t1": tmanet(slots=1),
    "lmanet_t1": lmanet(slots=1),
}
