"""Commands that train, search and use cells.

Importing it says so where a folder of the user's own hides a package that it builds on.
"""

from importlib.util import find_spec
from pathlib import Path

for _name in ("searchspace", "cache", "baselines"):
    _spec = find_spec(_name)
    _places = [] if _spec is None else [Path(place).resolve() for place in _spec.submodule_search_locations or []]
    if Path(__file__).resolve().parents[1] / _name not in _places:
        raise ImportError(
            f"{_places[0] if _places else _spec and _spec.origin} hides dyncell's package {_name!r}; rename it, work "
            "in another directory, or call the `dyncell` command, which does not look into the working directory"
        )
