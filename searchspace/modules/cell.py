"""DynamicCell: the module that a genotype describes, from features of a frame and a memory to `dec` and a memory.

The memory is carried explicitly, so that training, evaluation, streaming and export run a cell in the same way, and
gradients flow through the chain of `dec`s.
"""

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn

from searchspace.genotype import Block, Genotype
from searchspace.modules.aggregations import AGGREGATIONS
from searchspace.modules.attention import Attention, Entry
from searchspace.modules.layers import ConvNormReLU, resize
from searchspace.modules.operations import OPERATIONS

Features = Mapping[str, Tensor]
"""Features of a frame of height H and width W, by the static network: `layer2` (N, ., H/8, W/8), `layer3` (N, ., H/16,
W/16), `layer4` (N, ., H/32, W/32), of the frame at half its size `low.layer2`, `low.layer3` and `low.layer4` on half of
these grids, and on the first frame of a clip `dec` (N, C, H/8, W/8); sizes round up."""
State = tuple[Mapping[str, Tensor], ...]
"""Memory slots, the newest last; the newest holds what the cell will read of the latest frame, `layer4` or `dec`, and
of the clip's first one, `key.layer4` or `key.dec`, and where it counts the `frame`'s place in the clip, int64 (1,).
Older ones hold what attentions made of theirs, by names such as `block2.keys`."""

LOW: Final = "low_"  # begins the names of adapters of halved frames; names of modules have no dots
REMEMBERED: Final = ("layer4", "dec")
"""Features that a cell can read of the frame before, and of the first one."""


class DynamicCell(nn.Module):
    """A cell with its classifier.

    Every operation works at the size of its own input; where the two sides of a block differ, the smaller is resized
    to the larger. Loose ends are put on the grid of `dec`, concatenated and reduced to its channels. Encoder features
    pass an adapter first, one for each layer that the genotype reads; all `layer4` of whole frames share theirs.

    A clip starts with a key frame: `key` inputs are its first frame's, and the state hands them on.

    A `past` input is the newest slot of the memory, except as the second input of an attention, which reads all slots:
    operation and encoders are applied to each slot once, when it is the newest. An attention works at the size of its
    first input.

    Weights start from PyTorch's global generator, as all its modules do: seed it, in a fork, for equal cells.
    """

    def __init__(self, genotype: Genotype, channels: Mapping[str, int], classes: int) -> None:
        """Make a cell.

        Args:
            genotype: what it computes.
            channels: number of channels of each feature: of the layers, as the encoder has them, and of `dec`, which
                is that of every map inside the cell, too.
            classes: of the classifier.
        """
        super().__init__()
        self.genotype, width = genotype, channels["dec"]
        self.needs = needs_of(genotype)
        """Features of a later frame that are read."""
        self._key = tuple(name for name in REMEMBERED if f"key.{name}" in genotype.sources)
        past = tuple(name for name in REMEMBERED if f"past.{name}" in genotype.sources)
        self._past = past if "layer2" in self.needs or "dec" in past else (*past, "dec")  # the grid of the next one
        adapters = sorted({_adapter(source) for source in genotype.sources} - {"dec"})
        self.adapters = nn.ModuleDict(
            {name: ConvNormReLU(channels[name.removeprefix(LOW)], width) for name in adapters}
        )
        self.blocks = nn.ModuleList(CellBlock(block, width) for block in genotype.blocks)
        attentions = [module for module in self.blocks.modules() if isinstance(module, Attention)]
        self.slots = max((attention.slots for attention in attentions), default=1)
        """Number of frames that the memory holds."""
        self._counts = self.slots > 1 or any(attention.phases > 1 for attention in attentions)
        self.reduce = ConvNormReLU(len(genotype.loose_ends) * width, width)
        self.classifier = nn.Conv2d(width, classes, 3, padding=1)

    def init_state(self, first: Features) -> State:
        """Start the memory from the first frame of a clip, whose `dec` is the static decoder's."""
        key = {f"key.{name}": first[name] for name in self._key}
        return (self._slot(first, first["dec"], key, torch.zeros(1, dtype=torch.int64, device=first["dec"].device)),)

    def step(self, features: Features, state: State, present: Tensor | None = None) -> tuple[Tensor, State]:
        """Run one later frame.

        Args:
            features: of this frame, those that the cell `needs`; others may be there and are not read.
            state: what `init_state` or the last `step` returned.
            present: bool (len(state),), False for slots of zeros put before the first one, so that graphs of a fixed
                number of slots can be made; None where there are none.

        Returns:
            `dec` (N, channels, h, w) at the size of the first frame's, not negative, for the classifier; and the new
            memory.
        """
        *older, newest = state
        then = newest.get("frame", torch.zeros(1, dtype=torch.int64, device=self.classifier.weight.device))
        tensors = {source: self._read(source, features, newest) for source in self.genotype.sources}
        entries: dict[str, Tensor] = {}
        for index, block in enumerate(self.blocks):
            assert isinstance(block, CellBlock)
            first, second = self.genotype.blocks[index].inputs
            name = f"block{index}"
            if not isinstance(block.aggregation, Attention):
                tensors[name] = block(tensors[first], tensors[second])
                continue
            query = block.first(tensors[first])
            entry = block.encode(tensors[second], query, _place(second, then))
            memory = [*(_entry(slot, name) for slot in older), entry][-block.aggregation.slots :]
            there = None if present is None else present[-len(memory) :]
            tensors[name] = block.aggregation(query, memory, then + 1, there)
            if block.aggregation.slots > 1:
                entries |= {f"{name}.{part}": tensor for part, tensor in entry.items()}
        fine = features["layer2"] if "layer2" in self.needs else newest["dec"]
        size = (fine.shape[-2], fine.shape[-1])
        ends = [resize(tensors[f"block{index}"], size) for index in self.genotype.loose_ends]
        dec = self.reduce(torch.cat(ends, 1).relu())
        key = {f"key.{name}": newest[f"key.{name}"] for name in self._key}
        return dec, (*older, entries, self._slot(features, dec, key, then + 1))[-self.slots :]

    def _slot(self, features: Features, dec: Tensor, key: Features, frame: Tensor) -> Mapping[str, Tensor]:
        """Keep what is remembered of a frame, and of the key frame, until the next one."""
        seen = {**features, "dec": dec}
        slot = {**{name: seen[name] for name in self._past}, **key}
        return slot | {"frame": frame} if self._counts else slot

    def _read(self, source: str, features: Features, newest: Mapping[str, Tensor]) -> Tensor:
        of_this_frame = source.startswith(("cur.", "low."))
        x = features[_feature(source)] if of_this_frame else newest[_feature(source)]
        name = _adapter(source)
        return self.adapters[name](x) if name in self.adapters else x


class CellBlock(nn.Module):
    """Two operations and their aggregation, at the larger of the two results' sizes, by (height, width)."""

    def __init__(self, block: Block, channels: int) -> None:
        super().__init__()
        first, second = block.operations
        self.first = OPERATIONS[first.name](channels, **first.arguments)
        self.second = OPERATIONS[second.name](channels, **second.arguments)
        aggregation = block.aggregation_as_read
        self.aggregation: nn.Module = AGGREGATIONS[aggregation.name](channels, **aggregation.arguments)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Make one map (N, C, h, w) of two inputs (N, C, ., .)."""
        one, two = self.first(x1), self.second(x2)
        height, width = max(one.shape[-2:], two.shape[-2:])
        return self.aggregation(resize(one, (height, width)), resize(two, (height, width)))  # type: ignore[no-any-return]

    def encode(self, x2: Tensor, query: Tensor, frame: Tensor) -> Entry:
        """Make the entry that an attention will keep of a slot; `frame` is the slot's place in the clip."""
        assert isinstance(self.aggregation, Attention)
        return self.aggregation.encode(self.second(x2), (query.shape[-2], query.shape[-1]), frame)


def needs_of(genotype: Genotype) -> frozenset[str]:
    """Name the features of a later frame that a cell reads; `layer2` with all deeper layers, for the grid of `dec`."""
    read = {_feature(source) for source in genotype.sources if not source.startswith("key.")} - {"dec"}
    return frozenset(read | ({"layer2"} if any(not name.startswith("low.") for name in read) else set()))


def _feature(source: str) -> str:
    """Find the name of an input among the features of a frame, or in the newest slot."""
    return source.removeprefix("cur.").removeprefix("past.")


def _adapter(source: str) -> str:
    """Name the adapter that an input passes: whole frames share one for each layer, halved ones have their own."""
    when, _, layer = source.partition(".")
    return f"{LOW}{layer}" if when == "low" else layer


def _place(source: str, then: Tensor) -> Tensor:
    """Find the place in the clip of the frame that an input is of, where `then` is that of the frame before."""
    when, _, _ = source.partition(".")
    return {"past": then, "key": torch.zeros_like(then)}.get(when, then + 1)


def _entry(slot: Mapping[str, Tensor], block: str) -> Entry:
    """Find what `block` kept of an older slot."""
    return {name.partition(".")[2]: tensor for name, tensor in slot.items() if name.startswith(f"{block}.")}
