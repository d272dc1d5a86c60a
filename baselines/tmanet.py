"""TMANet as a cell: the current frame attends to every position of the remembered frames.

Wang, Wang, Liu 2021, "Temporal Memory Attention for Video Semantic Segmentation" (arXiv:2102.08643, ICIP 2021);
published code at commit 1fc4784. Published: mIoU 80.3 on Cityscapes val with ResNet-50 at output stride 8 (78.08, 77.87
and 78.45 for 1, 2 and 4 slots in its ablation, one seed each), 76.5 on CamVid at 960x720, possibly with 12 classes.

Sizes: keys of 16 and values of 64 channels, for 64 and 256 there, as the feature has 64 channels and not 2048.

Deviations:
- The memory holds `dec` at stride 8, which the cell itself made, and not a deep feature of each frame's encoder.
- All slots share one pair of key and value encoders; there each slot has its own, and nothing can be kept.
- The feature of the current frame is the sum of adapted layers 2 to 4; there it is stage 4 of a dilated ResNet.
- The query's value encoder is one 3x3 convolution; there 1x1, then 3x3. No dropout, no auxiliary loss.
- The head is the last 3x3 convolution, the cell's 1x1 reduction and a 3x3 classifier; there one 1x1 convolution follows
  the 3x3 bottleneck.
- A memory with fewer slots is read as it is; there it must be full, which the code asserts.

With a ResNet-50 encoder as there, all of these stay. Its layers 3 and 4 keep strides 16 and 32, where dilation holds
both at 8 there, and are adapted from 1024 and 2048 channels to the 64 of `dec`. Keys and values keep their sizes
whatever the width of `dec` is.
"""

from baselines.current_frame import CONV3X3, CURRENT_FRAME, SKIP
from searchspace.choices import Choice
from searchspace.genotype import Block, Genotype


def tmanet(slots: int) -> Genotype:
    """Build the cell with a memory of `slots` frames; the published numbers have 4, its released Cityscapes model 2."""
    attention = Choice("memory_attention", (("slots", slots), ("keys", 16), ("values", 64)))
    return Genotype(
        (
            *CURRENT_FRAME,
            Block(("block1", "past.dec"), (SKIP, SKIP), attention),
            Block(("block2", "block3"), (SKIP, SKIP), CONV3X3),
        )
    )
