"""Feature of the current frame, as the fixed points make it, and the choices that their cells are written in."""

from typing import Final

from searchspace.choices import Choice
from searchspace.genotype import Block

SKIP: Final = Choice("skip")
SUM: Final = Choice("weighted_sum")
CONV3X3: Final = Choice("conv3d")  # 3x3 convolution, batch norm, ReLU over both inputs' channels

CURRENT_FRAME: Final = (
    Block(("cur.layer3", "cur.layer4"), (SKIP, SKIP), SUM),
    Block(("cur.layer2", "block0"), (SKIP, SKIP), SUM),  # the feature: the sum of adapted layers 2 to 4
    Block(("block1", "block1"), (SKIP, SKIP), CONV3X3),  # its value
)
