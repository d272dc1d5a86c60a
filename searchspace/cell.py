"""DynamicCell: the module that a genotype describes. Features of a frame and a memory in, `dec` and a memory out.

The memory is carried explicitly, so that training, evaluation, streaming and export run a cell in the same way, and
gradients flow through the chain of `dec`s.
"""

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn

from searchspace.aggregations import AGGREGATIONS
from searchspace.genotype import Block, Genotype
from searchspace.layers import ConvNormReLU, resize
from searchspace.operations import OPERATIONS

Features = Mapping[str, Tensor]
"""What the static network says of a frame of height H and width W: `layer2` (N, 32, H/8, W/8), `layer3` (N, 96, H/16,
W/16), `layer4` (N, 320, H/32, W/32), and on the first frame of a clip `dec` (N, 64, H/8, W/8); sizes round up."""
State = tuple[Mapping[str, Tensor], ...]
"""Memory slots, the newest last, each with the `layer4` and `dec` of an earlier frame."""

ENCODER_CHANNELS: Final = {"layer2": 32, "layer3": 96, "layer4": 320}


class DynamicCell(nn.Module):
    """A cell with its classifier.

    Every operation works at the size of its own input; where the two sides of a block differ, the smaller is resized
    to the larger. Loose ends are resized to `layer2`, concatenated and reduced to `channels`. Encoder features pass
    an adapter first, one for each layer that the genotype reads; past and current `layer4` share theirs.

    Weights start from PyTorch's global generator, as all its modules do: seed it, in a fork, for equal cells.
    """

    def __init__(self, genotype: Genotype, channels: int, classes: int) -> None:
        super().__init__()
        self.genotype = genotype
        layers = sorted({source.partition(".")[2] for source in genotype.sources} - {"dec"})
        self.adapters = nn.ModuleDict({layer: ConvNormReLU(ENCODER_CHANNELS[layer], channels) for layer in layers})
        self.blocks = nn.ModuleList(CellBlock(block, channels) for block in genotype.blocks)
        self.reduce = ConvNormReLU(len(genotype.loose_ends) * channels, channels)
        self.classifier = nn.Conv2d(channels, classes, 3, padding=1)

    def init_state(self, first: Features) -> State:
        """The memory after the first frame of a clip, whose `dec` is the static decoder's."""
        return ({"layer4": first["layer4"], "dec": first["dec"]},)

    def step(self, features: Features, state: State) -> tuple[Tensor, State]:
        """Run one later frame.

        Args:
            features: of this frame; its `dec`, if there is one, is not read.
            state: what `init_state` or the last `step` returned.

        Returns:
            `dec` (N, channels, h, w) at the size of `layer2`, not negative, for the classifier; and the new memory.
        """
        tensors = {source: self._read(source, features, state) for source in self.genotype.sources}
        for index, block in enumerate(self.blocks):
            first, second = self.genotype.blocks[index].inputs
            tensors[f"block{index}"] = block(tensors[first], tensors[second])
        size = (features["layer2"].shape[-2], features["layer2"].shape[-1])
        ends = [resize(tensors[f"block{index}"], size) for index in self.genotype.loose_ends]
        dec = self.reduce(torch.cat(ends, 1).relu())
        return dec, ({"layer4": features["layer4"], "dec": dec},)

    def _read(self, source: str, features: Features, state: State) -> Tensor:
        when, _, layer = source.partition(".")
        x = (features if when == "cur" else state[-1])[layer]
        return self.adapters[layer](x) if layer in self.adapters else x


class CellBlock(nn.Module):
    """Two operations and their aggregation, at the larger of the two results' sizes, by (height, width)."""

    def __init__(self, block: Block, channels: int) -> None:
        super().__init__()
        first, second = block.operations
        self.first = OPERATIONS[first.name](channels, **first.arguments)
        self.second = OPERATIONS[second.name](channels, **second.arguments)
        self.aggregation = AGGREGATIONS[block.aggregation.name](channels, **block.aggregation.arguments)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Two inputs (N, C, ., .) to one (N, C, h, w)."""
        one, two = self.first(x1), self.second(x2)
        height, width = max(one.shape[-2:], two.shape[-2:])
        return self.aggregation(resize(one, (height, width)), resize(two, (height, width)))  # type: ignore[no-any-return]
