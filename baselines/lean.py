"""Lean cell, written by hand: three blocks that read a frame no deeper than layer2, the key frame and the frame before.

No publication; it is what one writes first to see what half of the cost is worth, and what a search under a target of
cost has to beat. Its parts are common: shallow features correct what a memory says, as in low-latency segmentation (Li
et al., CVPR 2018), and dilated separable convolutions look around for it.
"""

from baselines.current_frame import SKIP, SUM
from searchspace.choices import Choice
from searchspace.genotype import Block, Genotype

CONCAT = Choice("concat")
NEAR = Choice("separable_conv", (("kernel", 3), ("dilation", 1)))
FAR = Choice("separable_conv", (("kernel", 3), ("dilation", 3)))


def lean() -> Genotype:
    """Write the cell: layer2 beside the key frame's `dec`, then beside the last one's, then the whole frame's mean."""
    return Genotype(
        (
            Block(("cur.layer2", "key.dec"), (NEAR, SKIP), CONCAT),
            Block(("block0", "past.dec"), (FAR, SKIP), CONCAT),
            Block(("block1", "block0"), (FAR, Choice("global_pool")), SUM),
        )
    )
