"""LMANet as a cell: each position attends to a window around it in the remembered frames, and a gate decides.

Paul, Danelljan, Van Gool, Timofte 2021, "Local Memory Attention for Fast Video Semantic Segmentation"
(arXiv:2101.01715, IROS 2021); published code at commit 4419f12. Published: Cityscapes val 72.05 to 73.72 with ERFNet
(4 slots, window 21, 10.1 to 11.6 ms a frame), 76.34 to 78.48 with PSPNet-101 (3 slots).

Sizes: keys of 16 and values of 64 channels, as for ERFNet there. The window is 11: the published 21 at stride 8 of a
width of 1024 is as far, in shares of the picture, as 9 to 11 at stride 8 of 480.

Deviations:
- The memory holds `dec`, which the cell itself made, and not the encoder's feature of each frame.
- The feature of the current frame is the sum of adapted layers 2 to 4; there it is the output of ERFNet's encoder.
- The query's value is encoded with batch norm and ReLU, which its fusion there has as its first step. No dropout.
- The fusion has 64 channels; there it has 128, twice the width of the values.
- The whole cell is trained at once; there the memory first, then the decoder behind it.

With a ResNet-50 encoder, the nearest here to that of PSPNet-101, all of these stay: half as deep, strides of 16 and 32
where dilation holds 8 there, no pyramid pooling, and 64 channels where the memory there holds the backbone's feature.
Keys, values and the fusion keep their sizes whatever the width of `dec` is.
"""

from baselines.current_frame import CURRENT_FRAME, SKIP
from searchspace.choices import Choice
from searchspace.genotype import Block, Genotype


def lmanet(slots: int) -> Genotype:
    """Build the cell with a memory of `slots` frames; the published numbers have 4 with ERFNet."""
    attention = Choice("local_correlation", (("slots", slots), ("window", 11), ("keys", 16), ("values", 64)))
    return Genotype(
        (
            *CURRENT_FRAME,
            Block(("block1", "past.dec"), (SKIP, SKIP), attention),
            Block(("block2", "block3"), (SKIP, SKIP), Choice("gated_fusion")),
        )
    )
