"""Tables of trained cells: a compressed CSV file, and a YAML file beside it that says of what and how it was made.

Any program reads them: `pandas.read_csv("cells.csv.gz")`. Tokens count from 0 in the space that the YAML file lists.
"""

import csv
import gzip
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cache.atomic import atomic_path
from nas.runs.comparable import Run
from nas.runs.trial import Trial
from nas.settings.config_files import read_mapping, write_mapping
from nas.settings.errors import RunError
from searchspace.choices import Choice
from searchspace.errors import SpaceError
from searchspace.space import Space

SUFFIX: Final = ".csv.gz"
CONFIRMATION: Final = "confirmation"  # what stands for a strategy in rows of longer trainings
METRIC, COST = "metric ", "cost "  # what the names of columns of scores and costs begin with


@dataclass(frozen=True)
class Row:
    """One training of one cell."""

    key: str
    """Key that equal cells share."""
    tokens: tuple[int, ...]
    """Tokens of the cell."""
    strategy: str
    """Strategy that asked for the cell; `confirmation` if it was trained longer after a search, among its best."""
    search: int
    """Seed of its search."""
    seed: int
    """Seed of the training."""
    reward: float
    """Reward at the end, in [0, 1]."""
    halfway_reward: float | None
    """Reward half-way; None where it was not measured."""
    seconds: float
    """Wall time of the training."""
    epochs: int
    """Number of epochs trained."""
    metrics: Mapping[str, float]
    """Scores on meta-val, and the last epoch's loss."""
    cost: Mapping[str, float]
    """Counted costs, and the measured latency in seconds."""


@dataclass(frozen=True)
class Table:
    """Trained cells of one space on one problem."""

    space: Space
    rows: tuple[Row, ...]
    facts: Mapping[str, Any]
    """Settings, versions and sources, for a person."""

    @property
    def searched(self) -> tuple[Row, ...]:
        """Trainings of searches, all equally long."""
        return tuple(row for row in self.rows if row.strategy != CONFIRMATION)


def trained_cells(run: Run, space: Space) -> Iterator[Row]:
    """Yield a row for each training of a run's cells to the end: not failed, stopped or a repetition."""
    sampled = {trial.name for trial in run.trials}
    for trial in (*run.trials, *(each for each in run.others if each.confirms in sampled)):
        if trial.status == "finished" and trial.repeat_of is None:
            strategy = CONFIRMATION if trial.confirms else run.config.strategy
            yield _row_of(trial, space, strategy, run.config.seed)


def _row_of(trial: Trial, space: Space, strategy: str, search: int) -> Row:
    assert trial.genotype is not None
    assert trial.reward is not None
    latency = {} if trial.latency is None else {"latency": trial.latency}
    return Row(
        key=trial.genotype.key,
        tokens=space.tokens(trial.genotype),
        strategy=strategy,
        search=search,
        seed=trial.seed,
        reward=trial.reward,
        halfway_reward=trial.halfway_reward,
        seconds=round(trial.seconds, 2),
        epochs=trial.epochs,
        metrics=trial.metrics,
        cost={**trial.cost, **latency},
    )


def write_table(path: Path, table: Table) -> None:
    """Write `NAME.csv.gz` and, last, `NAME.yaml` with its checksum. Raises OSError, and RunError for another suffix."""
    content = gzip.compress(_csv_of(table.rows).encode(), mtime=0)
    facts = _facts_path(path)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    space = {
        "name": table.space.name,
        "blocks": table.space.blocks,
        "refresh": table.space.refresh,
        "inputs": list(table.space.inputs),
        "operations": [choice.to_json() for choice in table.space.operations],
        "aggregations": [choice.to_json() for choice in table.space.aggregations],
    }
    write_mapping(facts, {"sha256": hashlib.sha256(content).hexdigest(), "space": space, **table.facts})


def read_table(path: Path) -> Table:
    """Read what `write_table` wrote. Raises RunError if a file is missing, damaged or not of the other."""
    try:
        content, facts = path.read_bytes(), read_mapping(_facts_path(path))
    except OSError as error:
        raise RunError(f"the table {path} cannot be read: {error.filename or path}: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != facts.pop("sha256", None):
        raise RunError(f"{path} is not the table that {_facts_path(path)} describes; get both anew")
    try:
        space = _space_of(facts.pop("space"))
        lines = csv.DictReader(io.StringIO(gzip.decompress(content).decode()))
        rows = tuple(map(_parse, lines))
    except (KeyError, TypeError, ValueError, SpaceError) as error:
        raise RunError(f"{path} is no table of cells that this version reads: {error}") from error
    return Table(space, rows, facts)


def _facts_path(path: Path) -> Path:
    if not path.name.endswith(SUFFIX):
        raise RunError(f"a table of cells is called NAME{SUFFIX}, but got {path}")
    return path.with_name(path.name.removesuffix(SUFFIX) + ".yaml")


def _space_of(content: Mapping[str, Any]) -> Space:
    operations, aggregations = (tuple(map(Choice.from_json, content[kind])) for kind in ("operations", "aggregations"))
    inputs, refresh = tuple(content["inputs"]), content["refresh"]
    return Space(content["name"], content["blocks"], inputs, operations, aggregations, refresh)


def _csv_of(rows: Sequence[Row]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _columns(rows), lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(map(_fields, rows))
    return text.getvalue()


def _fields(row: Row) -> dict[str, object]:
    named = {name: value for name, value in vars(row).items() if name not in ("metrics", "cost")}
    scores = {METRIC + name: value for name, value in row.metrics.items()}
    costs = {COST + name: value for name, value in row.cost.items()}
    return {**named, "tokens": " ".join(map(str, row.tokens)), **scores, **costs}


def _columns(rows: Iterable[Row]) -> list[str]:
    """List every column that some row has, in the order of their first appearance."""
    return list(dict.fromkeys(name for row in rows for name in _fields(row)))


def _parse(line: Mapping[str, str]) -> Row:
    def floats(prefix: str) -> dict[str, float]:
        return {name.removeprefix(prefix): float(v) for name, v in line.items() if name.startswith(prefix) and v}

    return Row(
        key=line["key"],
        tokens=tuple(map(int, line["tokens"].split())),
        strategy=line["strategy"],
        search=int(line["search"]),
        seed=int(line["seed"]),
        reward=float(line["reward"]),
        halfway_reward=float(line["halfway_reward"]) if line["halfway_reward"] else None,
        seconds=float(line["seconds"]),
        epochs=int(line["epochs"]),
        metrics=floats(METRIC),
        cost=floats(COST),
    )
