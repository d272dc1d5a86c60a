"""The encoders by name, as `--encoder` takes them and checkpoints store them."""

from typing import Final

from cache.static.encoder import Encoder
from cache.static.mobilenet_v2 import MobileNetV2

FIRST: Final = "mobilenet_v2"
"""Encoder of the dynamic-cell paper, and of files from before there was a choice, which do not name theirs."""
ENCODERS: Final[dict[str, type[Encoder]]] = {FIRST: MobileNetV2}


def build_encoder(name: str) -> Encoder:
    """Make an encoder with random weights from torch's global generator. Raises ValueError for an unknown name."""
    if name not in ENCODERS:
        raise ValueError(f"there is no encoder {name!r}; known are {', '.join(ENCODERS)}")
    return ENCODERS[name]()
