"""The parts that a later frame is made of: which ones a cell has, which a space can have, and how one runs by itself.

A part is the encoder up to a layer, an operation on a grid, an aggregation of two grids, and so on. What stands between
parts, such as keeping the memory, takes no time to speak of.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Final

import torch
from torch import Tensor, nn

from cache.static.network import LOW, StaticNetwork, deepest
from nas.networks.inference import for_inference
from searchspace.choices import Choice
from searchspace.genotype import Block, Genotype
from searchspace.modules.attention import Attention
from searchspace.modules.cell import CellBlock, needs_of
from searchspace.modules.layers import ConvNormReLU, resize
from searchspace.modules.operations import OPERATIONS
from searchspace.space import Space

Grid = tuple[int, int]
Grids = Mapping[str, Grid]
"""Height and width of each feature of a frame, by its name."""

REMEMBERED: Final = ("past.dec", "past.dec")  # inputs for which an aggregation keeps all slots that it has
COMPUTED: Final = ("cur.layer2", "cur.layer2")  # and inputs for which it has a use for one
SKIPS: Final = (Choice("skip"), Choice("skip"))


@dataclass(frozen=True)
class Part:
    """Part of a later frame; two that are equal take equally long."""

    kind: str
    """Name of what it is: `encoder`, `adapter`, `operation`, `aggregation`, `end`, `reduce` or `classifier`."""
    of: str | Choice = ""
    """Feature that the encoder stops at or an adapter takes, or choice of an operation or aggregation."""
    grids: tuple[Grid, ...] = ()
    """Height and width of each map that goes in; of an `end`, before and after it is resized."""

    def __str__(self) -> str:
        grids = ", ".join(f"{height}x{width}" for height, width in self.grids)
        return " ".join(filter(None, (self.kind, str(self.of), grids)))


def parts_of(genotype: Genotype, grids: Grids) -> Iterator[Part]:
    """Yield the parts of a cell's later frame, each as often as it runs."""
    genotype = genotype.canonical()
    yield from _encoders(needs_of(genotype))
    maps = {source: grids[_feature(source)] for source in genotype.sources}
    yield from _adapters(maps, grids)
    for index, block in enumerate(genotype.blocks):
        yield from (Part("operation", operation, (maps[name],)) for name, operation in block.pairs)
        one, two = (maps[name] for name in block.inputs)
        yield Part("aggregation", block.aggregation_as_read, (one, two))
        maps[f"block{index}"] = one if "slots" in block.aggregation.arguments else max(one, two)
    ends, fine = genotype.loose_ends, grids["dec"]
    yield from (Part("end", grids=(maps[f"block{index}"], fine)) for index in ends)
    yield Part("reduce", grids=len(ends) * (fine,))
    yield Part("classifier", grids=(fine,))


def parts_of_space(space: Space, grids: Grids) -> Iterator[Part]:
    """Yield all parts that cells of a space may have, some of them more than once."""
    for source in space.inputs:
        yield from _encoders({_feature(source)})
    yield from _encoders({"layer2"})  # which comes with every deeper layer
    yield from _adapters(space.inputs, grids)
    seen, fine = {grids[_feature(source)] for source in space.inputs}, grids["dec"]
    yield from (Part("operation", operation, (grid,)) for operation, grid in product(space.operations, seen))
    for aggregation, inputs in product(space.aggregations, (COMPUTED, REMEMBERED)):
        choice = Block(inputs, SKIPS, aggregation).aggregation_as_read
        yield from (Part("aggregation", choice, both) for both in product(seen, seen))
    yield from (Part("end", grids=(grid, fine)) for grid in seen)
    yield from (Part("reduce", grids=ends * (fine,)) for ends in range(1, space.blocks + 1))
    yield Part("classifier", grids=(fine,))


def _encoders(needs: Collection[str]) -> Iterator[Part]:
    """Yield the runs of the encoder that some features take, over the whole frame and over the halved one."""
    whole, low = deepest(needs), deepest([name.removeprefix("low.") for name in needs if name in LOW])
    yield from (Part("encoder", name) for name in (whole, low and f"low.{low}") if name)


def _adapters(sources: Iterable[str], grids: Grids) -> Iterator[Part]:
    features = [feature for feature in map(_feature, sources) if feature != "dec"]
    yield from (Part("adapter", feature, (grids[feature],)) for feature in features)


def _feature(source: str) -> str:
    """Name the feature of a frame, whichever that is, that an input of a cell is."""
    return source if source in LOW else source.partition(".")[2]


def runner(part: Part, static: StaticNetwork, image: Tensor) -> Callable[[], object]:
    """Make what runs a part once, on maps of noise and with random weights, ready for inference.

    Args:
        part: to be run.
        static: ready for inference, on the device of `image`.
        image: normalised frame, (1, 3, H, W).
    """
    name = str(part.of)
    if part.kind == "encoder":
        return lambda: static.features(image, {name})
    channels = static.channels[name.removeprefix("low.") if part.kind == "adapter" else "dec"]
    maps = [_map(channels, grid, image) for grid in part.grids]
    if part.kind == "end":
        return lambda: resize(maps[0], part.grids[1])
    with torch.random.fork_rng(devices=[]):
        module = for_inference(_module(part, static), image.device)
    if part.kind == "reduce":
        return lambda: module(torch.cat(maps, 1))
    if isinstance(module, CellBlock) and isinstance(module.aggregation, Attention):
        return _reader(module, module.aggregation, *maps)
    return lambda: module(*maps)


def _map(channels: int, grid: Grid, like: Tensor) -> Tensor:
    """Make a map (1, channels, h, w) of noise where another tensor is."""
    noise = torch.rand(1, channels, *grid, generator=torch.Generator().manual_seed(0))
    return noise.to(like.device, memory_format=torch.channels_last)


def _module(part: Part, static: StaticNetwork) -> nn.Module:
    """Build what computes a part, but for encoders and ends."""
    width = static.channels["dec"]
    match part.kind, part.of:
        case "adapter", str(feature):
            return ConvNormReLU(static.channels[feature.removeprefix("low.")], width)
        case "operation", Choice() as choice:
            return OPERATIONS[choice.name](width, **choice.arguments)
        case "aggregation", Choice() as choice:
            return CellBlock(Block(REMEMBERED, SKIPS, choice), width)
        case "reduce", _:
            return ConvNormReLU(len(part.grids) * width, width)
        case "classifier", _:
            return nn.Conv2d(width, static.classes, 3, padding=1)
    raise ValueError(f"no module computes {part}")


def _reader(block: CellBlock, attention: Attention, query: Tensor, newest: Tensor) -> Callable[[], object]:
    """Make what encodes the newest slot of a full memory and reads all of them."""
    frame = torch.zeros(1, dtype=torch.int64, device=query.device)

    def read() -> Tensor:
        entry = block.encode(newest, query, frame)
        result: Tensor = attention(query, [entry] * attention.slots, frame + 1)
        return result

    return read
