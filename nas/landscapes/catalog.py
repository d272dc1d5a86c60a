"""The landscapes by name."""

from nas.landscapes.landscape import Landscape
from nas.landscapes.made_up import KINDS, MadeUp
from nas.settings.errors import RunError
from searchspace.space import Space


def make_landscape(name: str, space: Space, seed: int) -> Landscape:
    """Make a landscape over a space. Raises RunError for a name that there is not."""
    if name not in KINDS:
        raise RunError(f"unknown landscape {name!r}; known are {', '.join(KINDS)}")
    return MadeUp(space, KINDS[name], seed)
