"""TDNet as a cell: sub-networks take turns, and attention hands on what the last frames' have seen.

Hu, Caba Heilbron, Wang, Lin, Sclaroff, Perazzi 2020, "Temporally Distributed Networks for Fast Video Semantic
Segmentation" (arXiv:2004.01800, CVPR 2020); published code at commit 342f434. Published: TD4-PSP18 76.8 on Cityscapes
val and 72.6 on CamVid, where PSPNet-18 has 75.5 and 71.0; with one shared network instead of four, 75.7.

Sizes: 4 phases and 3 slots as in TD4; keys of 16 and values of 64 channels, for 64 and 512; slots at half the
resolution, where the published stride is 4 on maps of 97x193.

Deviations:
- There is one frozen backbone, and phases see groups of its channels. This keeps the propagation and gives up what
  makes TDNet fast and good, networks that are independent: expect little gain (its table 7), and never read the step's
  latency as TDNet's.
- The memory holds `dec`, which the cell itself made, and not the sub-networks' features.
- Queries, keys, values, the norm and the head are shared by all phases, and the path has 3 convolutions; there every
  sub-network has its own of each, 12 path convolutions in TD4.
- The propagation starts with the second frame; there the memory is read once it is full.
- Pyramid pooling is one bin over layer 4. The norm is over all positions, not one weight for each. No dropout.
- Plain cross-entropy, without knowledge distillation (76.4 without and 76.8 with it there).

With a ResNet-18 or ResNet-50 encoder as there, all of these stay: it is one frozen encoder and not four or two, at
strides 16 and 32 where dilation holds 8. Keys and values keep their sizes whatever the width of `dec` is.
"""

from baselines.current_frame import CONV3X3, SKIP, SUM
from searchspace.choices import Choice
from searchspace.genotype import Block, Genotype


def tdnet() -> Genotype:
    """Build the cell of TD4."""
    sizes = (("slots", 3), ("stride", 2), ("phases", 4), ("keys", 16), ("values", 64))
    return Genotype(
        (
            Block(("cur.layer4", "cur.layer4"), (SKIP, Choice("global_pool")), SUM),
            Block(("cur.layer3", "block0"), (SKIP, SKIP), SUM),
            Block(("cur.layer2", "block1"), (SKIP, SKIP), SUM),  # the current frame's feature
            Block(("block2", "past.dec"), (SKIP, SKIP), Choice("attention_propagation", sizes)),
            Block(("block3", "block3"), (SKIP, SKIP), CONV3X3),  # the head
        )
    )
