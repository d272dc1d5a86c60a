"""Space: what may be chosen in a cell, as an ordered list of decisions; loaded from YAML, no torch.

A strategy sees a cell as tokens, one number a decision: for each block two inputs, two operations and an aggregation.
Block i may read the space's inputs and the i blocks before it, with replacement.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from pathlib import Path
from reprlib import repr as brief
from typing import Any, Final, Literal, Self

import yaml
from numpy.random import Generator

from searchspace.choices import Choice, check
from searchspace.errors import SpaceError
from searchspace.genotype import INPUTS, MAX_BLOCKS, Block, Genotype

SPACES: Final = Path(__file__).parent / "spaces"
DEEPEST: Final = 10  # levels of a file; a choice's parameters are on the fourth
KEYS: Final = ("blocks", "inputs", "operations", "aggregations")
REFRESH: Final = "refresh"  # a key that may be left out

DecisionKind = Literal["input", "operation", "aggregation"]


@dataclass(frozen=True)
class Decision:
    """One token: what it decides, in which block, and among how many choices."""

    kind: DecisionKind
    block: int
    choices: int


@dataclass(frozen=True)
class Space:
    """A search space. Raises SpaceError if it is empty somewhere, repeats itself, or names what does not exist."""

    name: str
    blocks: int
    inputs: tuple[str, ...]
    operations: tuple[Choice, ...]
    aggregations: tuple[Choice, ...]
    refresh: int = 0
    """Number of frames from one key frame to the next that its cells are meant for; 0 has none after a clip's first."""

    def __post_init__(self) -> None:
        if type(self.blocks) is not int or not 1 <= self.blocks <= MAX_BLOCKS:
            raise SpaceError(f"blocks must be a whole number from 1 to {MAX_BLOCKS}, but is {brief(self.blocks)}")
        for key in ("inputs", "operations", "aggregations"):
            choices = [str(choice) for choice in getattr(self, key)]
            if not choices or len(set(choices)) < len(choices):
                listed = brief(choices)
                raise SpaceError(f"{key} must be a list of one or more different choices, but is {listed}")
        if type(self.refresh) is not int or self.refresh < 0 or self.refresh == 1:
            raise SpaceError(f"refresh must be 0 or a whole number of frames from 2, but is {brief(self.refresh)}")
        for name in self.inputs:
            if name not in INPUTS:
                raise SpaceError(f"inputs: unknown input {brief(name)}; known are {', '.join(INPUTS)}")
        for operation in self.operations:
            check(operation, "operation")
        for aggregation in self.aggregations:
            check(aggregation, "aggregation")

    @classmethod
    def load(cls, name_or_path: str, blocks: int | None = None) -> Self:
        """Load a space that ships with dyncell by its name, or any other by the path of its YAML file.

        Args:
            name_or_path: `video`, `paper`, `fast`, `lean`, `printed`, or a path that ends in `.yaml` or `.yml`.
            blocks: blocks of a cell; by default what the file says.

        Raises:
            SpaceError: no such space, or the file breaks a rule; the message names file, key and rule.
        """
        shipped = {path.stem: path for path in sorted(SPACES.glob("*.yaml"))}
        path = shipped.get(name_or_path, Path(name_or_path))
        if path.suffix not in (".yaml", ".yml"):
            raise SpaceError(f"unknown space {name_or_path!r}; known are {', '.join(shipped)} and paths of .yaml files")
        try:
            space = cls(name=path.stem, **_read(path))
        except SpaceError as error:
            raise SpaceError(f"{path}: {error}") from None
        return space if blocks is None else replace(space, blocks=blocks)

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """Decisions in the order of tokens: inputs, operations and the aggregation of block 0, then of block 1, ..."""
        decisions: list[Decision] = []
        for block in range(self.blocks):
            decisions += 2 * [Decision("input", block, len(self.inputs) + block)]
            decisions += 2 * [Decision("operation", block, len(self.operations))]
            decisions += [Decision("aggregation", block, len(self.aggregations))]
        return tuple(decisions)

    @property
    def size(self) -> int:
        """Number of token strings; several may describe the same cell."""
        return prod(decision.choices for decision in self.decisions)

    @property
    def slots(self) -> int:
        """Frames of the longest memory that a cell may have."""
        return max((int(choice.arguments.get("slots", 1)) for choice in self.aggregations), default=1)

    def vocabulary(self, kind: DecisionKind) -> list[str]:
        """Labels of a kind's tokens, in their order; those of inputs as the last block sees them."""
        if kind == "input":
            return self._readable(self.blocks - 1)
        return [str(choice) for choice in (self.operations if kind == "operation" else self.aggregations)]

    def tokens(self, genotype: Genotype) -> tuple[int, ...]:
        """Write a genotype as tokens. Raises SpaceError if it is not in this space."""
        if len(genotype.blocks) != self.blocks:
            raise SpaceError(
                f"space {self.name} has cells of {self.blocks} blocks, but this has {len(genotype.blocks)}"
            )
        tokens: list[int] = []
        for index, block in enumerate(genotype.blocks):
            tokens += [self._position(name, self._readable(index), index) for name in block.inputs]
            tokens += [self._position(operation, self.operations, index) for operation in block.operations]
            tokens += [self._position(block.aggregation, self.aggregations, index)]
        return tuple(tokens)

    def genotype(self, tokens: tuple[int, ...]) -> Genotype:
        """Read a genotype from tokens. Raises ValueError if there are too many, too few or one is too large."""
        limits = [decision.choices for decision in self.decisions]
        if len(tokens) != len(limits) or any(not 0 <= t < limit for t, limit in zip(tokens, limits, strict=True)):
            raise ValueError(f"tokens must be {len(limits)} numbers below {limits}, but are {tokens}")
        blocks = []
        for index in range(self.blocks):
            in1, in2, op1, op2, agg = tokens[5 * index : 5 * index + 5]
            readable = self._readable(index)
            operations = (self.operations[op1], self.operations[op2])
            blocks.append(Block((readable[in1], readable[in2]), operations, self.aggregations[agg]))
        return Genotype(tuple(blocks))

    def uniform(self, rng: Generator) -> Genotype:
        """Draw every token uniformly and independently."""
        return self.genotype(tuple(int(rng.integers(decision.choices)) for decision in self.decisions))

    def _readable(self, block: int) -> list[str]:
        """List the names that `block` may read, in the order of its tokens."""
        return [*self.inputs, *(f"block{earlier}" for earlier in range(block))]

    def _position(self, choice: object, among: Sequence[object], block: int) -> int:
        if choice not in among:
            allowed = ", ".join(map(str, among))
            raise SpaceError(f"block {block}: {choice} is not in space {self.name}, which has {allowed}")
        return among.index(choice)


def _read(path: Path) -> dict[str, Any]:
    """Read the fields of a space from its YAML file. Raises SpaceError."""
    try:
        text = path.read_text(encoding="utf-8")
        _refuse_bombs(text)
        content = yaml.safe_load(text)
    except OSError as error:
        raise SpaceError(f"the file of the space cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise SpaceError(f"not a YAML file ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict) or set(content) - {REFRESH} != set(KEYS):
        got = ", ".join(map(str, content)) if isinstance(content, dict) else brief(content)
        raise SpaceError(f"a space must have the keys {', '.join(KEYS)}, and may have {REFRESH}, but has {got}")
    for key in KEYS[1:]:
        if not isinstance(content[key], list):
            raise SpaceError(f"{key} must be a list, but is {brief(content[key])}")
    fields: dict[str, Any] = {"blocks": content["blocks"], "inputs": tuple(content["inputs"])}
    fields |= {REFRESH: content[REFRESH]} if REFRESH in content else {}
    for key in KEYS[2:]:
        try:
            fields[key] = tuple(Choice.from_json(value) for value in content[key])
        except SpaceError as error:
            raise SpaceError(f"{key}: {error}") from None
    return fields


def _refuse_bombs(text: str) -> None:
    """Raise ValueError for YAML that takes minutes or gigabytes though it is short: deep nesting, and aliases."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST or isinstance(event, yaml.AliasEvent):
            raise ValueError(f"a space has neither aliases nor more than {DEEPEST} levels")
