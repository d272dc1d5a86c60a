"""Captions of what a cell is made of, short enough for pictures, and what their abbreviations stand for."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

PARAMETERS: Final = {  # of choices, in the order of captions
    "slots": "T{0}",
    "kernel": "{0}x{0}",
    "window": "{0}x{0}",
    "dilation": "dil {0}",
    "stride": "/{0}",
    "phases": "m{0}",
    "light": "light",
}
GLOSSARY: Final = {  # pattern in a caption -> what it means
    r"\bcur\.": "cur: of this frame",
    r"\bpast\.": "past: remembered of earlier frames",
    r"\blow\.": "low: of this frame at half resolution",
    r"\bkey\.": "key: of the latest key frame, on which the whole static network ran",
    r"\blayer\d": "layer2, layer3, layer4: features of the encoder at 1/8, 1/16 and 1/32 of the frame's size",
    r"\bdec\b": "dec: the feature at 1/8 that the classifier reads, the cell's output",
    r"\bT\d": "T4: attends to up to 4 remembered frames (T1: to the newest)",
    r"\d+x\d+": "3x3: pixels of a kernel or window",
    r"\bdil \d": "dil 3: every 3rd pixel under the kernel",
    r" /\d": "/2: attends to every 2nd row and column",
    r" m\d": "m4: four encoders take turns, a frame each",
    r" light\b": "light: gates of 1x1 convolutions",
}


def short(label: str) -> str:
    """Shorten a choice's label: `separable_conv(dilation=6, kernel=5)` is `separable conv 5x5 dil 6`."""
    name, _, inside = label.removesuffix(")").partition("(")
    values = dict(part.split("=") for part in inside.split(", ")) if inside else {}
    if values.get("dilation") == "1":
        del values["dilation"]
    captions = [PARAMETERS.get(key, key + " {}").format(values[key]) for key in _order(values)]
    return " ".join([name.replace("_", " "), *captions])


def _order(values: Mapping[str, str]) -> list[str]:
    """Sort the parameters' names: those with a caption of their own first, in its order."""
    return [key for key in PARAMETERS if key in values] + [key for key in values if key not in PARAMETERS]


def glossary(captions: Iterable[str]) -> list[str]:
    """Explain the abbreviations that occur in some captions, a phrase each."""
    text = "\n".join(captions)
    return [meaning for pattern, meaning in GLOSSARY.items() if re.search(pattern, text)]
