"""MobileNet-v2 encoder (Sandler et al., CVPR 2018, arXiv:1801.04381, table 2), width 1.0, without its ImageNet head.

Modules are laid out and named as in torchvision, so that published ImageNet weights fit key by key. The ancestor's
encoder has 1,088 parameters more: its first bottleneck, whose expansion factor is 1, still expands 32 channels to 32.
"""

from itertools import islice
from typing import Final

from torch import Tensor, nn

from cache.static.encoder import Encoder, PublishedWeights
from cache.static.layers import conv_norm

STAGES: Final = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""(expansion, channels, blocks, stride of the first block)."""
BLOCKS: Final = {"layer1": (0, 4), "layer2": (4, 7), "layer3": (7, 14), "layer4": (14, 18)}
"""The blocks of each layer, first and behind the last: a layer ends with the last block of a resolution."""


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; added to the input where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        expand = [conv_norm(inputs, hidden, 1, activation=nn.ReLU6)] if expansion > 1 else []
        self.conv = nn.Sequential(
            *expand,
            conv_norm(hidden, hidden, 3, stride=stride, groups=hidden, activation=nn.ReLU6),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return x + y if self.residual else y


class MobileNetV2(Encoder):
    """Images to features of four resolutions."""

    channels = {"layer1": 24, "layer2": 32, "layer3": 96, "layer4": 320}  # noqa: RUF012  (no one changes it)
    strides = {"layer1": 4, "layer2": 8, "layer3": 16, "layer4": 32}  # noqa: RUF012
    published = PublishedWeights(
        "https://download.pytorch.org/models/mobilenet_v2-b0353104.pth",
        "b0353104",  # stands in the name; the file's format, an old one, has no checksum
        ("features.18.", "classifier."),
    )

    def __init__(self) -> None:
        super().__init__()
        blocks: list[nn.Module] = [conv_norm(3, 32, 3, stride=2, activation=nn.ReLU6)]
        inputs = 32
        for expansion, outputs, repeats, first_stride in STAGES:
            for repeat in range(repeats):
                blocks.append(InvertedResidual(inputs, outputs, first_stride if repeat == 0 else 1, expansion))
                inputs = outputs
        self.features = nn.Sequential(*blocks)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def stage(self, layer: str, x: Tensor) -> Tensor:
        """Run the blocks of one layer."""
        for block in islice(self.features, *BLOCKS[layer]):
            x = block(x)
        return x
