"""The one-input operations of a cell, by name: modules from (N, C, h, w) to (N, C, h, w).

Each is convolution, batch norm, ReLU, in this order and once, as in the ancestor's search.
"""

from collections.abc import Callable, Mapping
from typing import Final

from torch import Tensor, nn

from searchspace.modules.deformable import DeformableConv
from searchspace.modules.depthwise import DepthwiseConv
from searchspace.modules.layers import ConvNormReLU


class SeparableConv(nn.Sequential):
    """Depthwise convolution and 1x1 convolution with nothing between, batch norm, ReLU."""

    def __init__(self, channels: int, kernel: int, dilation: int) -> None:
        super().__init__(DepthwiseConv(channels, kernel, dilation), ConvNormReLU(channels, channels))


class GlobalPool(nn.Module):
    """Mean over the map, 1x1 convolution, batch norm, ReLU, and the result at every pixel.

    The norm sees one value an image; with batch 1 in train mode it uses its running statistics (`BatchNorm`).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = ConvNormReLU(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        pooled: Tensor = self.conv(x.mean(dim=(2, 3), keepdim=True))
        return pooled.expand_as(x)


def skip(channels: int) -> nn.Module:
    """Build the identity, whatever its `channels`."""
    return nn.Identity()


OPERATIONS: Final[Mapping[str, Callable[..., nn.Module]]] = {  # name -> builder(channels, **parameters)
    "separable_conv": SeparableConv,
    "global_pool": GlobalPool,
    "skip": skip,
    "deformable_conv": DeformableConv,
}
