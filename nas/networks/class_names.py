"""Agreement of a network's classes with those of the data: outputs are numbers, and only names say what they mean."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cache.errors import DataError

log = logging.getLogger(__name__)


def numbered(count: int) -> list[str]:
    """Make up names for the classes of a network that has none."""
    return [f"class {number}" for number in range(count)]


def check_classes(path: Path, facts: Mapping[str, Any], classes: Sequence[str]) -> None:
    """Refuse a network whose classes are not those of the data, in their order.

    Args:
        path: file of the network.
        facts: facts stored with it; without `classes` among them, or with made-up ones, there is a warning.
        classes: names of the data's classes.

    Raises:
        DataError: a name differs.
    """
    named, wanted = facts.get("classes"), list(classes)
    if named == wanted:  # even if made up, as on a video that the network itself labels
        return
    if not isinstance(named, list) or named == numbered(len(wanted)):
        log.warning("%s does not name its classes; they are taken for those of the data, in their order", path)
        return
    pairs = zip([*named, *["absent"] * len(wanted)], wanted, strict=False)
    number, there, here = next((number, *pair) for number, pair in enumerate(pairs) if pair[0] != pair[1])
    same = sorted(map(str, named)) == sorted(wanted)
    what = "the classes of the data in another order" if same else "other classes than the data"
    way_out = "list the classes of the data in the order of the network" if same else "give a network of this data set"
    raise DataError(f"{path} has {what}: class {number} is {there!r} there and {here!r} in the data; {way_out}")
