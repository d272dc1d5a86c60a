"""The landscapes by name."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nas.landscapes.landscape import Landscape
from nas.landscapes.made_up import KINDS, MadeUp
from nas.landscapes.table import SUFFIX, read_table
from nas.settings.errors import RunError
from searchspace.space import Space

if TYPE_CHECKING:
    from nas.landscapes.surrogate import Surrogate


TABLES: Final = Path(__file__).parent / "tables"  # those that ship with dyncell, PROBLEM-SPACE.csv.gz


def make_landscape(name: str, space: Space, seed: int) -> Landscape:
    """Make a landscape over a space: of a kind by its name, of a table that ships by its problem, or by its path.

    Raises:
        RunError: there is no such landscape, the table cannot be read, or it is of another space.
    """
    if name in KINDS:
        return MadeUp(space, KINDS[name], seed)
    path = table_path(name, space)
    surrogate = _surrogate_of(path)
    if replace(surrogate.space, name="") != replace(space, name=""):
        found = f"{surrogate.space.name}, {surrogate.space.blocks} blocks"
        raise RunError(f"the table {path} is of another space ({found}) than is searched; see --space and --blocks")
    return surrogate


def table_path(name: str, space: Space) -> Path:
    """Find the table of a problem in a space among those that ship, or one's own by its path.

    Raises:
        RunError: there is none.
    """
    if name.endswith(SUFFIX):
        return Path(name)
    shipped = TABLES / f"{name}-{space.name}{SUFFIX}"
    if not shipped.exists():
        tables = sorted(path.name.removesuffix(SUFFIX) for path in TABLES.glob(f"*{SUFFIX}"))
        raise RunError(
            f"unknown landscape {name!r} of the space {space.name}; known are {', '.join(KINDS)}, the tables of "
            f"problems in spaces {', '.join(tables)}, and paths of tables, *{SUFFIX}"
        )
    return shipped


@cache
def _surrogate_of(path: Path) -> "Surrogate":
    """Fit a surrogate on a table, once in a process."""
    from nas.landscapes.surrogate import Surrogate  # loads scikit-learn

    return Surrogate(read_table(path))
