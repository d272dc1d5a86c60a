"""From the words of a command line to a configuration, and from an error to a message and an exit code."""

import argparse
import logging
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import tyro

from cache.errors import DataError
from nas.settings.allocator import keep_freed_memory
from nas.settings.commands import commands, invocation
from nas.settings.config import PretrainConfig, SearchConfig
from nas.settings.config_files import CONFIG_FILE, from_mapping, overlay, read_mapping
from nas.settings.errors import NonFiniteError, RunError
from nas.settings.help_texts import set_help
from nas.settings.older_files import BEFORE
from nas.settings.preset_files import preset_names, preset_path, read_preset
from nas.settings.signals import end_on_sigterm
from nas.settings.terminal import write_what_it_can
from searchspace.errors import SpaceError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Arguments = TypeVar("Arguments")
Config = TypeVar("Config", bound="DataclassInstance")

BAD_INPUT = 2
INTERRUPTED = 130  # what a shell reports for a program that Ctrl-C ended


def run_command(
    module: str, kind: type[Arguments], config: "type[DataclassInstance] | None", main: Callable[[Arguments], None]
) -> NoReturn:
    """Parse the command line of `python -m module`, call `main`, and exit.

    Args:
        module: for the usage line.
        kind: dataclass of all flags; with a `config`, it has fields `config` and `preset`.
        config: the configuration that presets fill before flags override it; None for commands without one.
        main: the command.
    """
    write_what_it_can()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    end_on_sigterm()
    keep_freed_memory()
    set_help(kind)
    try:
        if config is None:
            arguments = tyro.cli(kind, prog=_command_name(module))
        else:
            base = kind(config=_base_config(config, sys.argv[1:]))  # type: ignore[call-arg]
            arguments = tyro.cli(kind, prog=_command_name(module), default=base)
        main(arguments)
    except (DataError, RunError, SpaceError, NonFiniteError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    except KeyboardInterrupt:
        command = f"{_command_name(module)} {shlex.join(sys.argv[1:])}"
        print(f"stopped; what is finished is kept, and the same command goes on from there: {command}", file=sys.stderr)
        sys.exit(INTERRUPTED)
    sys.exit(0)


def _command_name(module: str) -> str:
    """Tell how the command of a module was called."""
    names = {f"nas.{file}": name for name, file in commands().items()}
    return invocation(names[module]) if module in names else f"python -m {module}"


class _LogFile(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name that logging calls
        raise  # a full disk ends the command with one message, as it does for every other file


def log_to(path: Path) -> None:
    """Write what the terminal shows to the end of a file, too, with the time.

    Raises:
        OSError: here and whenever something is logged, if the disk is full.
    """
    handler = _LogFile(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logging.getLogger().addHandler(handler)


def _base_config(config: type[Config], words: Sequence[str]) -> Config:
    """Return what flags override: an existing run's own settings, else the data set's preset; then `--preset`."""
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--dataset")
    early.add_argument("--preset")
    early.add_argument("--run", type=Path)
    early.add_argument("--fork")
    known, _ = early.parse_known_args(list(words))
    if issubclass(config, PretrainConfig) and known.run is not None:
        named = known.fork is None and (known.dataset is not None or known.preset is not None)
        if not named and not (known.run / CONFIG_FILE).exists():
            raise RunError(
                f"there is no run in {known.run} to go on with; check the name"
                + ("" if known.fork else ", or say with --dataset on what a new search shall start there")
            )
    layers: dict[Path, Mapping[str, Any]] = {}
    dataset = known.dataset or PretrainConfig().data.dataset
    if known.run is not None and (known.run / CONFIG_FILE).exists():
        if issubclass(config, SearchConfig):
            layers[known.run / CONFIG_FILE] = overlay([BEFORE, read_mapping(known.run / CONFIG_FILE)])
    elif dataset in preset_names():
        layers[preset_path(dataset)] = read_preset(dataset, config)
    if known.preset is not None:
        layers[preset_path(known.preset)] = read_preset(known.preset, config)
    return from_mapping(config, overlay(list(layers.values())), " + ".join(map(str, layers)))
