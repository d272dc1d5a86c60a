"""The encoders by name, as `--encoder` takes them and checkpoints store them.

Of one of transformers a checkpoint stores `hf:` and its configuration, so that it can be used without the hub.
"""

import json
from pathlib import Path
from typing import Any, Final

from cache.errors import DataError
from cache.static.encoder import Encoder
from cache.static.encoder_weights import load_encoder
from cache.static.extra import HUB, import_extra
from cache.static.mobilenet_v2 import MobileNetV2

FIRST: Final = "mobilenet_v2"
"""Encoder of the dynamic-cell paper, and of files from before there was a choice, which do not name theirs."""
ENCODERS: Final[dict[str, type[Encoder]]] = {FIRST: MobileNetV2}


def build_encoder(name: str) -> Encoder:
    """Make an encoder with random weights from torch's global generator.

    Args:
        name: key of `ENCODERS`, or `hf:` and a configuration as JSON.

    Raises:
        ValueError: there is no such encoder.
        DataError: it needs an extra that is not installed.
    """
    if name.startswith(HUB):
        made: Encoder = _backbones().make_backbone(_content(name))
        return made
    if name not in ENCODERS:
        raise ValueError(f"there is no encoder {name!r}; known are {', '.join(ENCODERS)}")
    return ENCODERS[name]()


def find_encoder(name: str) -> tuple[str, Path | None]:
    """Find what a person names.

    Args:
        name: key of `ENCODERS`, or `hf:` and a name on the hub or a folder.

    Returns:
        The name that `build_encoder` takes, and the file of weights that came with it, if any did.

    Raises:
        DataError: there is no such encoder, it cannot be downloaded, or it is not what cells need.
    """
    if name.startswith(HUB):
        content, weights = _backbones().find_backbone(name.removeprefix(HUB))
        return HUB + json.dumps(content, sort_keys=True), weights
    if name not in ENCODERS:
        raise DataError(f"there is no encoder {name!r}; known are {', '.join(ENCODERS)} and {HUB}NAME_OR_FOLDER")
    return name, None


def start_from(encoder: Encoder, name: str, path: Path) -> None:
    """Load ImageNet weights, in the naming of whoever published them.

    Args:
        encoder: that `build_encoder` made.
        name: from which it did.
        path: file of the weights.

    Raises:
        DataError: they do not fit.
    """
    if name.startswith(HUB):
        _backbones().load_backbone(encoder, _content(name), path)
    else:
        load_encoder(encoder, path)


def _content(name: str) -> Any:  # noqa: ANN401 - a configuration
    return json.loads(name.removeprefix(HUB))


def _backbones() -> Any:  # noqa: ANN401 - a module
    return import_extra("cache.static.transformers_backbones")
