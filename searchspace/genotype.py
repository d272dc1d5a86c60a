"""Genotype: the immutable description of one dynamic cell, and the key that identifies what it computes.

It says which operation is applied to which tensor and nothing else: no weights, no shapes, no torch. A block reads two
tensors, applies one operation to each and aggregates the two results; blocks that no later block reads are the cell's
loose ends and become `dec`. A genotype that exists is valid: names are known and no block refers forward.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from reprlib import repr as brief
from typing import Any, Final, Self

from searchspace.choices import Choice as Choice
from searchspace.choices import check
from searchspace.errors import SpaceError

SCHEMA: Final = 1  # raise it when a field changes meaning; older genotypes then refuse to load
MAX_BLOCKS: Final = 10  # twice the paper's; the canonical order of more could take seconds to find
INPUTS: Final = (
    *("past.layer4", "past.dec"),
    *("cur.layer2", "cur.layer3", "cur.layer4"),
    *("low.layer2", "low.layer3", "low.layer4"),
    *("key.layer4", "key.dec"),
)
"""Inputs of cells: `past` of the frames before, `cur` of this one, `low` of this one seen at half its height and
width, `key` of the last frame on which the whole static network ran. New ones are appended: older cells keep theirs."""
SYMMETRIC: Final = frozenset({"weighted_sum", "concat", "conv3d", "gated_fusion"})
"""Aggregations whose weights trade places when their inputs do: the cell can learn the same functions either way."""


@dataclass(frozen=True)
class Block:
    """One node of a cell: `aggregation(operations[0](inputs[0]), operations[1](inputs[1]))`."""

    inputs: tuple[str, str]
    """Names of what the block reads: one of INPUTS, or an earlier block as `block0`, `block1`, ..."""
    operations: tuple[Choice, Choice]
    aggregation: Choice

    @property
    def pairs(self) -> tuple[tuple[str, Choice], tuple[str, Choice]]:
        """The two inputs, each with its operation."""
        return (self.inputs[0], self.operations[0]), (self.inputs[1], self.operations[1])

    @property
    def aggregation_as_read(self) -> Choice:
        """The aggregation with the slots that it has a use for: one where the second input is not remembered."""
        arguments = self.aggregation.arguments
        if "slots" not in arguments or self.inputs[1].startswith("past."):
            return self.aggregation
        return Choice(self.aggregation.name, tuple((arguments | {"slots": 1}).items()))

    def to_json(self) -> dict[str, Any]:
        """Write a block as plain values, for `json.dumps`."""
        return {
            "inputs": list(self.inputs),
            "operations": [operation.to_json() for operation in self.operations],
            "aggregation": self.aggregation.to_json(),
        }

    @classmethod
    def from_json(cls, value: Any) -> Self:  # noqa: ANN401  (whatever a JSON file holds)
        """Read what `to_json` writes. Raises SpaceError."""
        _check_keys(value, {"inputs", "operations", "aggregation"})
        first, second = _pair(value, "inputs")
        if not (isinstance(first, str) and isinstance(second, str)):
            raise SpaceError(f"inputs must be two names, but are {brief(value['inputs'])}")
        one, two = _pair(value, "operations")
        operations = (Choice.from_json(one), Choice.from_json(two))
        return cls((first, second), operations, Choice.from_json(value["aggregation"]))


@dataclass(frozen=True)
class Genotype:
    """A cell: blocks in an order in which each can be computed."""

    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.blocks) <= MAX_BLOCKS:
            raise SpaceError(f"a genotype must have 1 to {MAX_BLOCKS} blocks, but has {len(self.blocks)}")
        for index, block in enumerate(self.blocks):
            with_earlier = (*INPUTS, *(f"block{earlier}" for earlier in range(index)))
            for name in block.inputs:
                if name not in with_earlier:
                    allowed = ", ".join(with_earlier)
                    raise SpaceError(f"block {index}: inputs must be among {allowed}, but one is {brief(name)}")
            try:
                for operation in block.operations:
                    check(operation, "operation")
                check(block.aggregation, "aggregation")
            except SpaceError as error:
                raise SpaceError(f"block {index}: {error}") from None

    @cached_property
    def key(self) -> str:
        """16 hexadecimal digits that cells share exactly if they compute the same graph."""
        blocks = [block.to_json() for block in self.canonical().blocks]
        return sha256(json.dumps(blocks, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def loose_ends(self) -> tuple[int, ...]:
        """Blocks that no later block reads; never empty, because the last block is one."""
        return tuple(index for index in range(len(self.blocks)) if not self.uses(f"block{index}"))

    @property
    def sources(self) -> tuple[str, ...]:
        """The members of INPUTS that some block reads."""
        return tuple(name for name in INPUTS if self.uses(name))

    def uses(self, name: str) -> bool:
        """Tell whether some block reads the input or block `name`."""
        return any(name in block.inputs for block in self.blocks)

    def canonical(self) -> "Genotype":
        """Return the same cell in the one order of blocks, and of symmetric pairs, that all its descriptions share.

        It is the smallest description over all orders in which the blocks can be computed. The order in which loose
        ends are concatenated is not part of a cell: the weights that follow permute with it.
        """
        return Genotype(min(_smallest_orders(self.blocks, {}, ()), key=lambda blocks: [_rank(b) for b in blocks]))

    def to_json(self) -> dict[str, Any]:
        """Write a cell as plain values, for `json.dumps`."""
        return {"schema": SCHEMA, "blocks": [block.to_json() for block in self.blocks]}

    @classmethod
    def from_json(cls, value: Any) -> Self:  # noqa: ANN401  (whatever a JSON file holds)
        """Read what `to_json` writes, and nothing else. Raises SpaceError that says which block and field."""
        _check_keys(value, {"schema", "blocks"}, "a genotype")
        if type(value["schema"]) is not int or value["schema"] != SCHEMA:
            raise SpaceError(
                f"a genotype of schema {brief(value['schema'])} cannot be read; this version reads {SCHEMA}"
            )
        if not isinstance(value["blocks"], list) or len(value["blocks"]) > MAX_BLOCKS:
            raise SpaceError(f"blocks must be a list of 1 to {MAX_BLOCKS} blocks, but is {brief(value['blocks'])}")
        blocks = []
        for index, block in enumerate(value["blocks"]):
            try:
                blocks.append(Block.from_json(block))
            except SpaceError as error:
                raise SpaceError(f"block {index}: {error}") from None
        return cls(tuple(blocks))


def _check_keys(value: Any, keys: set[str], what: str = "a block") -> None:  # noqa: ANN401
    if not isinstance(value, dict):
        raise SpaceError(f"{what} must be a mapping of {', '.join(sorted(keys))}, but is {brief(value)}")
    if value.keys() != keys:
        raise SpaceError(f"{what} must have exactly the keys {', '.join(sorted(keys))}, but has {brief(list(value))}")


def _pair(value: dict[str, Any], field: str) -> tuple[Any, Any]:
    pair = value[field]
    if not isinstance(pair, list) or len(pair) != 2:
        raise SpaceError(f"{field} must be a list of two, but is {brief(pair)}")
    return pair[0], pair[1]


def _rank(block: Block) -> tuple[str, ...]:
    """Key that blocks are ordered by."""
    (first, one), (second, two) = block.pairs
    return str(block.aggregation), first, str(one), second, str(two)


def _rename(block: Block, names: dict[str, str]) -> Block:
    """Rename what `block` reads, sort its pairs if they are symmetric, and drop slots that it has no use for."""
    pairs = [(names.get(name, name), operation) for name, operation in block.pairs]
    if block.aggregation.name in SYMMETRIC:
        pairs.sort(key=lambda pair: (pair[0], str(pair[1])))
    (first, one), (second, two) = pairs
    return Block((first, second), (one, two), block.aggregation_as_read)


def _smallest_orders(
    blocks: tuple[Block, ...], names: dict[str, str], placed: tuple[Block, ...]
) -> Iterator[tuple[Block, ...]]:
    """Yield the orders that extend `placed` by the smallest next block each time; ties are all followed.

    `names` says how the blocks placed so far are called in the new order.
    """
    if len(placed) == len(blocks):
        yield placed
        return
    ready: dict[tuple[str, ...], dict[Any, tuple[str, Block]]] = {}
    for index, block in enumerate(blocks):
        waits = any(name.startswith("block") and name not in names for name in block.inputs)
        if f"block{index}" not in names and not waits:
            candidate = _rename(block, names)
            # Of two equal blocks that are read in the same way, either order gives the same cell: one is enough.
            twins = ready.setdefault(_rank(candidate), {})
            twins[_readers(blocks, f"block{index}")] = (f"block{index}", candidate)
    for name, candidate in ready[min(ready)].values():
        yield from _smallest_orders(blocks, names | {name: f"block{len(placed)}"}, (*placed, candidate))


def _readers(blocks: tuple[Block, ...], name: str) -> tuple[tuple[int, int, str], ...]:
    """List who reads `name`, where (all one in a symmetric aggregation), and through which operation."""
    return tuple(
        (index, 0 if block.aggregation.name in SYMMETRIC else slot, str(operation))
        for index, block in enumerate(blocks)
        for slot, (read, operation) in enumerate(block.pairs)
        if read == name
    )
