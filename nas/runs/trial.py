"""Trial: the frozen record of one evaluated genotype or fixed point, as it stands in a run's log.

Failure is a status with a reason and never a number: a failed trial has no reward.
"""

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from reprlib import repr as brief
from types import UnionType
from typing import Any, Literal, Self, get_args, get_origin, get_type_hints

from nas.settings.errors import RunError
from searchspace.genotype import Genotype

SCHEMA = 1  # raise it when a field changes meaning; older logs then refuse to load

Status = Literal["finished", "early_stopped", "failed"]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One line of `trials.jsonl`: a sampled one has a number, a fixed point a name; a longer training confirms one."""

    number: int | None = None
    """Place in the order of asking, from 0; None for all that no strategy asked for."""
    fixed_point: str | None = None
    """Name of the fixed point; None for a sampled trial."""
    confirms: str | None = None
    """Name of the sampled trial or fixed point that is trained again, longer and with a fresh seed, after the search;
    None for those themselves."""
    genotype: Genotype | None = None
    """The cell; None for a fixed point that is no cell (the per-frame network)."""
    status: Status
    reward: float | None = None
    """Worth of its scores on meta-val and its costs to the run's objective, in [0, 1]; None exactly if failed."""
    halfway_reward: float | None = None
    """Reward half-way through training; None if the trial never got there or has no half-way."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Scores on meta-val, in [0, 1]: `miou`, `fwiou`, `mean_accuracy`, and against the static network's own labels
    `agreement` (share of pixels) and `agreement_miou`; `worth`, the reward before costs count; and `loss`, the last
    epoch's mean training loss."""
    cost: Mapping[str, float] = field(default_factory=dict)
    """Costs of one later frame after the encoder (cell or static decoder, and classifier; batch 1, memory full):
    `parameters`, `macs`, and `state_bytes`, what is remembered between frames. Over the per-frame network's multiply-
    adds, encoder included: `relative_macs_later`, and on the mean over a clip with its key frames `relative_macs`.
    Where a search counts in time, likewise `relative_latency_later` and `relative_latency`, by its table of blocks."""
    latency: float | None = None
    """Median seconds of one later frame after the encoder, batch 1, as the worker measured it beside all else."""
    seed: int = 0
    """Seed of the weights and the order of windows."""
    epochs: int = 0
    """Number of epochs trained."""
    batch_parts: int = 1
    """Parts that each batch was trained in: 2 if whole ones did not fit the GPU; batch norm then sees the halves."""
    seconds: float = 0.0
    """Wall time of the evaluation."""
    worker: str = ""
    """`host:pid` of the process that evaluated it."""
    repeat_of: int | None = None
    """Number of the earlier trial whose cell computes the same graph and whose result this is; None if trained."""
    error: str | None = None
    """Reason of a failed trial, as one line `kind: message`; None otherwise."""

    def __post_init__(self) -> None:
        if [self.number, self.fixed_point, self.confirms].count(None) != 2:
            raise ValueError(f"a trial has a number, a fixed point's name or what it confirms, but got {self.name!r}")
        if self.number is not None and self.number < 0:
            raise ValueError(f"trials are numbered from 0, but got {self.number}")
        if self.reward is not None and not 0 <= self.reward <= 1:
            raise ValueError(f"trial {self.name}: a reward lies in [0, 1], but is {self.reward!r}")
        if (self.status == "failed") != (self.reward is None):
            raise ValueError(f"trial {self.name}: a reward is absent exactly if the trial failed ({self.status=})")
        for name, number in {"latency": self.latency or 0.0, **self.metrics, **self.cost}.items():
            if not abs(number) <= sys.float_info.max:  # NaN too: the log could not hold it
                raise ValueError(f"trial {self.name}: {name} is {number}")

    @property
    def ok(self) -> bool:
        return self.reward is not None

    @property
    def name(self) -> str:
        """Name in tables and plots: the fixed point's, or the number with a hash sign; "again" if it confirms."""
        return f"{self.confirms} again" if self.confirms else self.fixed_point or f"#{self.number}"

    @property
    def key(self) -> tuple[str, int | None]:
        """Key that no two trials of a run share: a number, or the name of what no strategy asked for with its seed."""
        return self.name, self.seed if self.number is None else None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able dictionary, which `from_json` reads back."""
        record = asdict(self) | {"genotype": self.genotype.to_json() if self.genotype else None}
        return {"schema": SCHEMA} | record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote. Raises RunError for another schema or for fields that do not fit."""
        fields = dict(record)
        schema = fields.pop("schema", None)
        if schema != SCHEMA:
            raise RunError(f"a trial of schema {schema!r} cannot be read; this version of dyncell writes {SCHEMA}")
        try:
            genotype = fields.pop("genotype")
            trial = cls(**fields, genotype=Genotype.from_json(genotype) if genotype is not None else None)
        except (TypeError, ValueError, KeyError) as error:
            raise RunError(f"not a trial: {error}") from error
        for name, kind in get_type_hints(cls).items():
            if not _is(getattr(trial, name), kind):
                raise RunError(f"not a trial: {name} cannot be {brief(getattr(trial, name))}")
        return trial


def _is(value: Any, kind: Any) -> bool:  # noqa: ANN401 - whatever JSON holds, and a type as fields are annotated with
    """Tell whether a value that came from JSON is what a field takes; numbers are finite, and no truth value is one."""
    origin, inside = get_origin(kind), get_args(kind)
    if origin is UnionType:
        return any(_is(value, each) for each in inside)
    if origin is Literal:
        return value in inside
    if origin is Mapping:
        return type(value) is dict and all(_is(each, inside[1]) for each in value.values())
    if kind in (int, float):
        return type(value) in (int, kind) and abs(value) <= sys.float_info.max
    return type(value) is kind
