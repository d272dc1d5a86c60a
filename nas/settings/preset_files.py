"""Presets: YAML files that override defaults, each for all commands at once."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nas.settings.config import SearchConfig
from nas.settings.config_files import read_mapping
from nas.settings.errors import RunError
from nas.settings.retrain_config import RetrainConfig

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

PRESETS: Final = Path(__file__).parent / "presets"
SECTIONS: Final = frozenset(field.name for kind in (SearchConfig, RetrainConfig) for field in dataclasses.fields(kind))
"""Sections and settings that a preset may have, whichever command reads them."""


def preset_names() -> list[str]:
    """List the names that `--preset` takes."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def preset_path(name: str) -> Path:
    """Find the file of a preset by its name, or one's own by its path. Raises RunError if there is none."""
    if name in preset_names():
        return PRESETS / f"{name}.yaml"
    if Path(name).suffix in (".yaml", ".yml"):
        if Path(name).is_file():
            return Path(name)
        raise RunError(f"there is no preset file {name}")
    raise RunError(f"unknown preset {name!r}; there are {', '.join(preset_names())}, and paths of .yaml files")


def read_preset(name: str, config: "type[DataclassInstance]") -> dict[str, Any]:
    """Read what a command takes from a preset; the rest is for other commands.

    Args:
        name: a preset's name, or the path of one's own.
        config: the command's settings.

    Raises:
        RunError: there is no such preset, it cannot be read, or no command has such a section.
    """
    path = preset_path(name)
    settings = read_mapping(path)
    if strange := [str(section) for section in settings if section not in SECTIONS]:
        raise RunError(
            f"{path}: no command has a section or setting {strange[0]!r}; they are {', '.join(sorted(SECTIONS))}"
        )
    known = {field.name for field in dataclasses.fields(config)}
    return {section: content for section, content in settings.items() if section in known}
