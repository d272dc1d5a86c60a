"""Choices: the names and parameters of operations and aggregations, and the rules they obey; no torch.

A choice is a name with its parameters and never a position in a list, so that a genotype keeps its meaning when a
space changes. The modules that the names stand for are built in `searchspace/modules/operations.py` and
`searchspace/modules/aggregations.py`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from reprlib import repr as brief
from typing import Any, Final, Literal, Self

from searchspace.errors import SpaceError

Value = int | float | bool | str
Kind = Literal["operation", "aggregation"]
Rules = Mapping[str, Mapping[str, Collection[Value]]]  # name -> parameter -> allowed values

OPERATIONS: Final[Rules] = {
    "separable_conv": {"kernel": range(1, 16, 2), "dilation": range(1, 33)},
    "global_pool": {},
    "skip": {},
    "deformable_conv": {},
}
AGGREGATIONS: Final[Rules] = {
    "weighted_sum": {},
    "concat": {},
    "predictive_filter": {},
    "affine_sampling": {},
    "conv3d": {},
    "attention_gate": {},
    "memory_attention": {
        "slots": range(1, 17),
        "keys": range(1, 257),
        "values": range(1, 257),
        "stride": range(1, 9),
        "scaled": (False, True),
    },
    "local_correlation": {
        "slots": range(1, 17),
        "window": range(1, 64, 2),
        "keys": range(1, 257),
        "values": range(1, 257),
        "masked": (False, True),
        "joint": (True, False),
    },
    "attention_propagation": {
        "slots": range(1, 17),
        "stride": range(1, 9),
        "phases": (1, 2, 4),
        "keys": range(1, 257),
        "values": range(1, 257),
    },
    "gated_fusion": {"light": (False, True)},
}
DEFAULTS: Final[Mapping[str, Mapping[str, Value]]] = {
    "memory_attention": {"keys": 16, "values": 64, "stride": 1, "scaled": False},
    "local_correlation": {"keys": 16, "values": 64, "masked": False, "joint": True},
    "attention_propagation": {"keys": 16, "values": 64, "phases": 1},
    "gated_fusion": {"light": False},
}
"""Values of parameters that need not be given, by name and parameter; every other parameter has to be given."""
RULES: Final[Mapping[Kind, Rules]] = {"operation": OPERATIONS, "aggregation": AGGREGATIONS}


@dataclass(frozen=True)
class Choice:
    """An operation or an aggregation, e.g. `Choice("separable_conv", (("dilation", 1), ("kernel", 3)))`."""

    name: str
    parameters: tuple[tuple[str, Value], ...] = ()
    """Parameters sorted by name, without those that have their default value, however they are given."""

    def __post_init__(self) -> None:
        defaults = DEFAULTS.get(self.name, {})
        kept = [
            (key, value) for key, value in self.parameters if key not in defaults or not _same(value, defaults[key])
        ]
        object.__setattr__(self, "parameters", tuple(sorted(kept, key=lambda item: item[0])))

    def __str__(self) -> str:
        inside = ", ".join(f"{key}={value}" for key, value in self.parameters)
        return f"{self.name}({inside})" if inside else self.name

    @property
    def arguments(self) -> dict[str, Value]:
        """All parameters with their values, defaults among them."""
        return {**DEFAULTS.get(self.name, {}), **dict(self.parameters)}

    def to_json(self) -> str | dict[str, dict[str, Value]]:
        """Write a choice as JSON: `"skip"`, or `{"separable_conv": {"dilation": 1, "kernel": 3}}`."""
        return {self.name: dict(self.parameters)} if self.parameters else self.name

    @classmethod
    def from_json(cls, value: Any) -> Self:  # noqa: ANN401  (whatever a JSON or YAML file holds)
        """Read what `to_json` writes. Raises SpaceError for another form; `check` says whether the name exists."""
        if isinstance(value, str):
            return cls(value)
        if isinstance(value, dict) and len(value) == 1:
            [(name, parameters)] = value.items()
            if (
                isinstance(name, str)
                and isinstance(parameters, dict)
                and all(isinstance(key, str) for key in parameters)
            ):
                return cls(name, tuple(parameters.items()))
        raise SpaceError(f"a choice must be a name or {{name: {{parameter: value}}}}, but is {brief(value)}")


def check(choice: Choice, kind: Kind) -> None:
    """Raise SpaceError unless `choice` is a known operation or aggregation with the parameters that it takes."""
    known = RULES[kind]
    if choice.name not in known:
        raise SpaceError(f"unknown {kind} {brief(choice.name)}; known are {', '.join(known)}")
    rules, defaults = known[choice.name], DEFAULTS.get(choice.name, {})
    given = dict(choice.parameters)
    if not rules.keys() - defaults.keys() <= given.keys() <= rules.keys() or len(given) != len(choice.parameters):
        takes = ", ".join(f"{key} ({defaults[key]})" if key in defaults else key for key in rules) or "no parameters"
        raise SpaceError(f"{kind} {choice.name} takes {takes}, but got {brief(sorted(given)) if given else 'none'}")
    for key, value in given.items():
        allowed = rules[key]
        if type(value) not in (int, bool) or not any(_same(value, other) for other in allowed):
            raise SpaceError(f"{kind} {choice.name}: {key} must be {_list_briefly(allowed)}, but is {brief(value)}")


def _same(one: Value, other: Value) -> bool:
    """Tell whether two values are equal and of one type: True is not 1, nor is 1.0."""
    return type(one) is type(other) and one == other


def _list_briefly(allowed: Collection[Value]) -> str:
    values = [str(value) for value in allowed]
    if len(values) > 4:
        values = [*values[:3], "...", values[-1]]
    return f"one of {', '.join(values)}"
