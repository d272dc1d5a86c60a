"""The public face of dyncell: a trained network in one's own program, and the pieces to build on.

    network = dyncell.load("network.pt")
    labels = network.segment(frame)

Names are loaded when they are first used, so that the import itself takes milliseconds and needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from cache.errors import DataError as DataError
    from dyncell.segmenter import Segmenter as Segmenter
    from dyncell.segmenter import load as load
    from nas.networks.heads import build_head as build_head
    from nas.settings.errors import NonFiniteError as NonFiniteError
    from nas.settings.errors import RunError as RunError
    from searchspace.errors import SpaceError as SpaceError
    from searchspace.genotype import Genotype as Genotype
    from searchspace.space import Space as Space

__version__ = "0.2.0"

_HOMES: Final = {
    "load": "dyncell.segmenter",
    "Segmenter": "dyncell.segmenter",
    "Space": "searchspace.space",
    "Genotype": "searchspace.genotype",
    "build_head": "nas.networks.heads",
    "DataError": "cache.errors",
    "RunError": "nas.settings.errors",
    "NonFiniteError": "nas.settings.errors",
    "SpaceError": "searchspace.errors",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module's attribute is anything
    if name not in _HOMES:
        raise AttributeError(f"module 'dyncell' has no attribute {name!r}")
    try:
        module = import_module(_HOMES[name])
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in ("nas", "searchspace", "cache", "baselines"):
            raise
        raise ImportError(
            f"{error}: a file or folder called {package} in the working directory or on PYTHONPATH hides dyncell's "
            "package of that name; rename it, or start the program in another directory"
        ) from error
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted([*_HOMES, "__version__"])
