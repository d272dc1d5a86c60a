"""Choices: the names and parameters of operations and aggregations, and the rules they obey; no torch.

A choice is a name with its parameters and never a position in a list, so that a genotype keeps its meaning when a
space changes. The modules that the names stand for are built in `searchspace/operations.py` and
`searchspace/aggregations.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from reprlib import repr as brief
from typing import Any, Final, Literal, Self

from searchspace.errors import SpaceError

Value = int | float | bool | str
Kind = Literal["operation", "aggregation"]
Rules = Mapping[str, Mapping[str, range]]  # name -> parameter -> allowed values; every parameter has to be given

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
}
RULES: Final[Mapping[Kind, Rules]] = {"operation": OPERATIONS, "aggregation": AGGREGATIONS}


@dataclass(frozen=True)
class Choice:
    """An operation or an aggregation, e.g. `Choice("separable_conv", (("dilation", 1), ("kernel", 3)))`."""

    name: str
    parameters: tuple[tuple[str, Value], ...] = ()
    """Sorted by name, whatever order they are given in."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", tuple(sorted(self.parameters, key=lambda item: item[0])))

    def __str__(self) -> str:
        inside = ", ".join(f"{key}={value}" for key, value in self.parameters)
        return f"{self.name}({inside})" if inside else self.name

    @property
    def arguments(self) -> dict[str, Value]:
        return dict(self.parameters)

    def to_json(self) -> str | dict[str, dict[str, Value]]:
        """`"skip"`, or `{"separable_conv": {"dilation": 1, "kernel": 3}}`."""
        return {self.name: self.arguments} if self.parameters else self.name

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
    rules, given = known[choice.name], choice.arguments
    if given.keys() != rules.keys() or len(given) != len(choice.parameters):
        takes = ", ".join(rules) or "no parameters"
        raise SpaceError(f"{kind} {choice.name} takes {takes}, but got {brief(sorted(given)) if given else 'none'}")
    for key, allowed in rules.items():
        value = given[key]
        if type(value) is not int or value not in allowed:  # True and 3.0 would count as members of a range
            several = ", ".join(map(str, allowed[:3]))
            raise SpaceError(
                f"{kind} {choice.name}: {key} must be one of {several}, ..., {allowed[-1]}, but is {brief(value)}"
            )
