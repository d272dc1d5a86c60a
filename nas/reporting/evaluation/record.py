"""Evaluated: scores and costs of networks on a split, as kept in `evaluation.json`, from which a run's page is made."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isnan, nan
from pathlib import Path
from typing import Final, Self

from cache.atomic import write_text
from nas.settings.errors import RunError
from nas.settings.wording import AGREEMENT, MASKS, Wording

Numbers = Mapping[str, float]

RECORD: Final = "evaluation.json"
RENAMED: Final = {f"ratio{end}": f"relative_latency{end}" for end in ("", "_low", "_high")}  # in files of before


@dataclass(frozen=True)
class Row:
    """A network, or the labels themselves."""

    name: str
    scores: Sequence[Numbers]
    """Scores of each seed by name; what could not be scored is left out."""
    iou: Sequence[Sequence[float]]
    """IoU of each class, for each seed; NaN for a class that the labels do not have. Empty for the labels."""
    cost: Numbers
    """Costs by name, the same for all seeds."""

    @property
    def caption(self) -> str:
        """Name with the number of seeds."""
        return f"{self.name} ({len(self.iou)} {'seed' if len(self.iou) == 1 else 'seeds'})"


@dataclass(frozen=True)
class Evaluated:
    """Numbers in their own units ([0, 1], seconds, bytes), and what they stand for."""

    title: str
    facts: Mapping[str, str]
    """Facts that a reader needs to judge or repeat the numbers, by name."""
    classes: Sequence[str]
    """Names of the classes."""
    shares: Sequence[float]
    """Share of each class in the labelled pixels."""
    networks: Sequence[Row]
    """One row for each network."""
    labels: Row | None
    """Row of the labels' own temporal consistency; None where there is none."""
    agreed: bool = False
    """The labels are those of a network, so that scores say how far others agree with it."""

    @property
    def words(self) -> Wording:
        """Words for the scores."""
        return AGREEMENT if self.agreed else MASKS

    @property
    def rows(self) -> list[Row]:
        """Rows of the networks, and that of the labels below them."""
        return [*self.networks, *([self.labels] if self.labels else [])]

    def save(self, folder: Path) -> None:
        """Write `evaluation.json`, atomically. Raises OSError."""
        content = asdict(self)
        for row in content["networks"]:
            row["iou"] = [[None if isnan(value) else value for value in iou] for iou in row["iou"]]
        write_text(folder / RECORD, json.dumps(content, indent=1, allow_nan=False) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote. Raises RunError if it is anything else."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            labels = content.pop("labels")
            networks = [_row(**row) for row in content.pop("networks")]
            return cls(**content, networks=networks, labels=labels and _row(**labels))
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise RunError(f"{path} is damaged ({error}); remove it, or evaluate the networks again") from error


def _row(name: str, scores: list[dict[str, float]], iou: list[list[float | None]], cost: dict[str, float]) -> Row:
    costs = {RENAMED.get(each, each): value for each, value in cost.items()}
    return Row(name, scores, [[nan if value is None else value for value in each] for each in iou], costs)
