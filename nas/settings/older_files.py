"""Settings as earlier versions wrote them: their signs for "auto", and what they did before there was a setting.

A setting that is new, or gets another default, needs a line in `BEFORE` unless its default is what was done before. One
that decides a retrained network needs a line in `RETRAINED_BEFORE`, as the network's folder lists them all.
"""

from collections.abc import Mapping
from typing import Any, Final

AUTO_WAS: Final[Mapping[str, Mapping[str, int | None]]] = {
    "data": {"window": 0},
    "space": {"blocks": None},
    "candidate": {"max_memory": 0},
    "compute": {"threads": 0},
    "machine": {"cache_memory": 0},
    "retrain": {"window": 0},
}
"""Signs that stood for "auto", by section and setting."""

BEFORE: Final[dict[str, Any]] = {
    "static": {"encoder": "mobilenet_v2"},
    "data": {"gaps": [1], "refresh": 0},
    "candidate": {
        "objective": "geometric_mean",
        "measure_halfway": False,
        "windows": 0,
        "dec_weight": 0.0,
        "logit_weight": 0.0,
        "label_weight": 1.0,
        "schedule": "constant",
    },
    "warm_start": False,
    "repetition": 0,
    "confirm": 0,
}
"""Values by which runs were made that are too old to have the setting."""

RETRAINED_BEFORE: Final[dict[str, Any]] = {"retrain": {"alone_on": "images"}}
"""Values by which networks were retrained that are too old to have the setting."""


def respell(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Write "auto" where settings, nested by section, hold an earlier sign for it; all else stays as it is."""
    return {name: _respell_section(value, AUTO_WAS.get(name, {})) for name, value in settings.items()}


def _respell_section(section: Any, signs: Mapping[str, int | None]) -> Any:  # noqa: ANN401 - whatever YAML holds
    if not isinstance(section, Mapping):
        return section
    return {name: "auto" if name in signs and _is(value, signs[name]) else value for name, value in section.items()}


def _is(value: object, sign: int | None) -> bool:
    return not isinstance(value, bool) and value == sign
