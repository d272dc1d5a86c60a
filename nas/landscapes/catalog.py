"""The landscapes by name."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from nas.landscapes.landscape import Landscape
from nas.landscapes.made_up import KINDS, MadeUp
from nas.landscapes.table import SUFFIX, read_table
from nas.settings.errors import RunError
from searchspace.space import Space

if TYPE_CHECKING:
    from nas.landscapes.surrogate import Surrogate


def make_landscape(name: str, space: Space, seed: int) -> Landscape:
    """Make a landscape over a space, of a kind by its name, or of a table by its path.

    Raises:
        RunError: there is no such landscape, the table cannot be read, or it is of another space.
    """
    if name in KINDS:
        return MadeUp(space, KINDS[name], seed)
    if not name.endswith(SUFFIX):
        raise RunError(f"unknown landscape {name!r}; known are {', '.join(KINDS)} and paths of tables, *{SUFFIX}")
    surrogate = _surrogate_of(name)
    if replace(surrogate.space, name="") != replace(space, name=""):
        found = f"{surrogate.space.name}, {surrogate.space.blocks} blocks"
        raise RunError(f"the table {name} is of another space ({found}) than is searched; see --space and --blocks")
    return surrogate


@cache
def _surrogate_of(path: str) -> "Surrogate":
    """Fit a surrogate on a table, once in a process."""
    from nas.landscapes.surrogate import Surrogate  # loads scikit-learn

    return Surrogate(read_table(Path(path)))
