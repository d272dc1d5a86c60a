"""The `arch2` decoder of Nekrasov et al. (CVPR 2019, arXiv:1810.10804), with 64 channels as in the dynamic-cell paper.

Three blocks join two feature maps each, and in front of every join stands a contextual cell that the search of that
paper found. Two things of the published decoder are left out, neither of which reaches its output: the adapter of
`layer1`, whose result no block takes (1,664 parameters without a gradient), and a ReLU over sums of ReLUs.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from cache.static.layers import conv_norm

DECODED: Final = ("layer2", "layer3", "layer4")
"""Layers of the encoder that the decoder reads."""


class ContextualCell(nn.Module):
    """A small graph of convolutions at one resolution: (N, C, h, w) to the same shape.

    Quirk kept from the published genotype: `pooled_conv` and `pooled_point` see a map that is the same everywhere.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dilated = conv_norm(channels, channels, 3, dilation=3)
        self.pooled = conv_norm(channels, channels, 1)
        self.local = conv_norm(channels, channels, 3)
        self.local_point = conv_norm(channels, channels, 1)
        self.pooled_conv = conv_norm(channels, channels, 3)
        self.local_dilated = conv_norm(channels, channels, 3, dilation=3)
        self.pooled_point = conv_norm(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.pooled(x.mean((2, 3), keepdim=True)).expand_as(x)
        local = self.local(x)
        local_point = self.local_point(local)
        pooled_conv = self.pooled_conv(pooled)
        deep = self.local_dilated(local_point) + self.pooled_point(pooled_conv)
        result: Tensor = self.dilated(x) + (pooled + local) + (local_point + pooled_conv) + deep
        return result


class JoinBlock(nn.Module):
    """Two maps, each through a cell and a 1x1 convolution of its own, summed at the size of the larger one."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.left = nn.Sequential(ContextualCell(channels), conv_norm(channels, channels, 1))
        self.right = nn.Sequential(ContextualCell(channels), conv_norm(channels, channels, 1))

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        maps = self.left(left), self.right(right)
        size = max(tuple(each.shape[-2:]) for each in maps)
        first, second = (resized(each, size) for each in maps)
        return first + second


class Decoder(nn.Module):
    """Encoder features to `dec`. Blocks: (layer2, layer4), (the first block, layer4), (layer3, layer3)."""

    def __init__(self, encoder_channels: Mapping[str, int], channels: int) -> None:
        """Make a decoder.

        Args:
            encoder_channels: number of channels of each layer of the encoder.
            channels: of `dec`, and of all maps on the way to it.
        """
        super().__init__()
        self.adapters = nn.ModuleDict({name: conv_norm(encoder_channels[name], channels, 1) for name in DECODED})
        self.blocks = nn.ModuleList(JoinBlock(channels) for _ in range(3))
        self.merge = conv_norm(2 * channels, channels, 1)

    def block_outputs(self, encoded: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Results of the three blocks, (N, channels, h, w) each: two at stride 8, then one at stride 16."""
        fine, middle, coarse = (adapter(encoded[name]) for name, adapter in self.adapters.items())
        first = self.blocks[0](fine, coarse)
        second = self.blocks[1](first, coarse)
        third = self.blocks[2](middle, middle)
        return first, second, third

    def merged(self, blocks: Sequence[Tensor]) -> Tensor:
        """Make `dec` from the blocks that no other block takes: the second and the third."""
        _, second, third = blocks
        dec: Tensor = self.merge(torch.cat((second, resized(third, second.shape[-2:])), dim=1))
        return dec

    def forward(self, encoded: Mapping[str, Tensor]) -> Tensor:
        """Decode `layer2`, `layer3` and `layer4` to `dec`, (N, channels, H/8, W/8)."""
        return self.merged(self.block_outputs(encoded))


def resized(x: Tensor, size: Sequence[int]) -> Tensor:
    """Put `x` on a grid of `size` (height, width), bilinear; itself if it has that size."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return functional.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)
