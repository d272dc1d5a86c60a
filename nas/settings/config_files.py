"""Configurations as YAML: how settings are read and written, and the resolved copy that a run keeps.

What this program writes begins with a line that holds a checksum of the rest. A file without one is a person's.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import dacite
import yaml
from xxhash import xxh3_64_hexdigest

from cache.atomic import write_text
from cache.plain_yaml import parse_yaml
from cache.shipped import find
from nas.settings.config import PretrainConfig, SearchConfig
from nas.settings.errors import RunError
from nas.settings.older_files import BEFORE, respell

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

CONFIG_FILE = "config.yaml"  # the resolved copy, in a run's directory
SEAL: Final = "# checksum of what follows: "

C = TypeVar("C", bound="DataclassInstance")


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a YAML file whose top is a mapping. Raises RunError if it is anything else, or not what was written."""
    try:
        text = path.read_text(encoding="utf-8")
        content = parse_yaml(text)
    except ValueError as error:
        raise RunError(f"{path} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise RunError(f"{path} must hold settings by section, but holds {type(content).__name__}")
    if text.startswith(SEAL) and text != seal(text.partition("\n")[2]):
        raise RunError(
            f"{path} is not as it was written, says the checksum in its first line; restore the file, "
            "or remove that line if the change is meant"
        )
    return content


def write_mapping(path: Path, content: Mapping[str, Any]) -> None:
    """Write what `read_mapping` reads, atomically, under its checksum."""
    write_text(path, seal(yaml.safe_dump(to_plain(content), sort_keys=False, allow_unicode=True)))


def seal(text: str) -> str:
    """Put a text under the line with its checksum."""
    return f"{SEAL}{xxh3_64_hexdigest(text.encode())}\n{text}"


def overlay(layers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge mappings of sections; later layers win, setting by setting."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            section = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
            result[key] = {**result[key], **value} if section else value
    return result


def from_mapping(config: type[C], settings: Mapping[str, Any], source: str) -> C:
    """Build a configuration; what the settings leave out is at its default.

    Raises:
        RunError: naming `source` and the setting that is unknown, of a wrong type or out of its range.
    """
    hooks: dict[Any, Any] = {float: _read_finite, Path: Path}  # YAML 1.1 reads 1e-3 as a string, and paths are strings
    try:
        return dacite.from_dict(config, respell(settings), dacite.Config(strict=True, cast=[tuple], type_hooks=hooks))
    except (dacite.DaciteError, TypeError, ValueError, ArithmeticError) as error:
        raise RunError(f"{source}: {error}") from error


def from_run(settings: Mapping[str, Any], source: str) -> SearchConfig:
    """Build the configuration that a run was made with; what it is too old to have is as it was before.

    Raises:
        RunError: as `from_mapping` does.
    """
    return from_mapping(SearchConfig, overlay([BEFORE, settings]), source)


def _read_finite(value: Any) -> float:  # noqa: ANN401 - whatever YAML holds
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"settings are finite numbers, but one is {number}")
    return number


def to_mapping(config: PretrainConfig) -> dict[str, Any]:
    """Write a configuration as plain YAML types; `from_mapping` reads it back."""
    mapping: dict[str, Any] = to_plain(dataclasses.asdict(config))
    return mapping


def identity(config: SearchConfig) -> dict[str, Any]:
    """Select the settings in which a run and whoever continues it must agree: all that could change a number.

    Machines, budgets and paths may differ. What is at the paths may not, nor may the encoder, but that shows in the
    fingerprint of the features.
    """
    settings = to_mapping(config)
    if settings["warm_start"]:
        settings["warm_start"] = settings["fixed_points"]  # whose cells decide what is proposed
    del settings["machine"], settings["trials"], settings["fixed_points"], settings["fixed_point_seeds"]
    del settings["confirm"], settings["confirm_seeds"]
    for what in ("checkpoint", "network", "encoder_weights", "encoder"):
        del settings["static"][what]
    return settings


def anchored(config: SearchConfig) -> SearchConfig:
    """Make the paths of a configuration absolute, as a run is read and gone on with from other folders, too.

    The name of a network that ships stays.
    """
    machine, static = config.machine, config.static
    ships = static.checkpoint is not None and find(static.checkpoint) != static.checkpoint
    checkpoint = static.checkpoint if ships else _absolute(static.checkpoint)
    return replace(
        config,
        machine=replace(machine, data_root=_absolute(machine.data_root), cache_dir=_absolute(machine.cache_dir)),
        static=replace(static, checkpoint=checkpoint, encoder_weights=_absolute(static.encoder_weights)),
    )


def _absolute(path: Path | None) -> Path | None:
    return path.absolute() if path else None


def to_plain(value: Any) -> Any:  # noqa: ANN401 - a tree of settings
    """Turn settings into what YAML gives back: paths as strings, tuples as lists."""
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
