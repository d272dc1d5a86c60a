"""MobileNet-v2 encoder (Sandler et al., CVPR 2018, arXiv:1801.04381, table 2), width 1.0, without its ImageNet head.

Modules are laid out and named as in torchvision, so that published ImageNet weights fit key by key. The ancestor's
encoder has 1,088 parameters more: its first bottleneck, whose expansion factor is 1, still expands 32 channels to 32.
"""

from typing import Final

from torch import Tensor, nn

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
TAPS: Final = {3: "layer1", 6: "layer2", 13: "layer3", 17: "layer4"}
"""The features that the rest of the network sees: last block of a resolution -> name."""
CHANNELS: Final = {"layer1": 24, "layer2": 32, "layer3": 96, "layer4": 320}


def conv_norm(
    inputs: int,
    outputs: int,
    kernel: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    activation: type[nn.Module] = nn.ReLU,
) -> nn.Sequential:
    """Convolution without bias, batch norm, activation: (N, inputs, h, w) to (N, outputs, ceil(h/stride), ...)."""
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), activation(inplace=True))


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


class MobileNetV2(nn.Module):
    """Images to features of four resolutions."""

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

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Encode.

        Args:
            images: RGB, normalised by ImageNet's mean and deviation, float (N, 3, H, W), any size.

        Returns:
            `layer1` (N, 24, H/4, W/4), `layer2` (N, 32, /8), `layer3` (N, 96, /16), `layer4` (N, 320, /32); each
            stage rounds its size up.
        """
        taps = {}
        x = images
        for index, block in enumerate(self.features):
            x = block(x)
            if index in TAPS:
                taps[TAPS[index]] = x
        return taps
