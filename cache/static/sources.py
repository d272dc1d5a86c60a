"""Networks of one's own by name: `hf:NAME_OR_FOLDER` or `package.module:function`; and made again for a file.

A file may come from a stranger, so it runs no code that its reader has not named: of a function it holds the name,
which must stand in `$DYNCELL_NETWORKS`.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from cache.errors import DataError
from cache.static.extra import HUB, import_extra
from cache.static.own import OwnNetwork, check_own

TRUSTED: Final = "DYNCELL_NETWORKS"
"""Environment variable with the functions, separated by commas, that files may name as the makers of their network."""


def open_own(name: str) -> OwnNetwork:
    """Make a network with its trained weights.

    Args:
        name: `hf:` and a name on the hub or a folder of transformers; or `package.module:function`, also from the
            working directory, called with `pretrained=True`. From here on this process and its workers trust it.

    Raises:
        DataError: there is no such network, or it breaks the contract; or transformers is not installed.
    """
    if name.startswith(HUB):
        own: OwnNetwork = _segmenters().load_segmenter(name.removeprefix(HUB))
    else:
        os.environ[TRUSTED] = ",".join(dict.fromkeys([*_trusted(), name]))
        own = _call(name, pretrained=True)
    check_own(name, own)
    return own


def rebuild_own(source: Mapping[str, Any]) -> OwnNetwork:
    """Make a network for weights that a file holds, from the `source` that it holds beside them.

    Raises:
        DataError: it is made by a function that `$DYNCELL_NETWORKS` does not name; or as `open_own`.
        ValueError: no such source can be.
    """
    if "transformers" in source:
        made: OwnNetwork = _segmenters().make_segmenter(source["transformers"])
        return made
    name = source["function"]
    if name not in _trusted():
        raise DataError(
            f"this network is made by {name}, which is not code of dyncell; if you trust it, say so with "
            f"{TRUSTED}={name} in the environment"
        )
    own = _call(name, pretrained=False)
    check_own(name, own)
    return own


def _trusted() -> list[str]:
    return [name for name in os.environ.get(TRUSTED, "").split(",") if name]


def _call(name: str, pretrained: bool) -> OwnNetwork:
    """Import a function and let it make a network."""
    module_name, colon, attribute = name.partition(":")
    if not colon or not attribute:
        raise DataError(f"{name!r} is no network; give {HUB}NAME_OR_FOLDER or package.module:function")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        function = getattr(import_module(module_name), attribute)
    except (ImportError, SyntaxError, AttributeError) as error:
        raise DataError(f"the network {name} cannot be imported from {here}: {error}") from error
    own = function(pretrained=pretrained)
    return replace(own, source={"function": name}) if isinstance(own, OwnNetwork) else own


def _segmenters() -> Any:  # noqa: ANN401 - a module
    return import_extra("cache.static.transformers_networks")
