"""Loading of a trained network, static or video, with the facts that it needs to be used."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from cache.datasets.palette import is_colour, is_name, made_up_colours
from cache.errors import DataError
from cache.static.network import FORMAT as STATIC
from cache.static.network import load_checkpoint
from cache.tensor_files import DAMAGED, brief, load_tensors
from nas.networks.class_names import numbered
from nas.networks.video_network import VideoNetwork, load_video_network, on_every_frame

LONGEST: Final = 2**14  # pixels of a side at which a network may have been trained


def load_network(
    path: Path, classes: int | None = None, refresh: int | None = None
) -> tuple[VideoNetwork, dict[str, Any]]:
    """Read a video network, or a static one as the per-frame network that it is.

    Args:
        path: file that `nas.pretrain` or `nas.retrain` left.
        classes: number of classes that the network must have, if given.
        refresh: frames from one key frame to the next; None for what the file says, 0 where it does not say.

    Returns:
        The network in eval mode on the CPU, and its facts, with made-up `classes` and `colours` where it has none.

    Raises:
        DataError: no such file, or it is neither, is damaged, or has another number of classes.
    """
    if load_tensors(path).get("format") == STATIC:
        static, meta = load_checkpoint(path)
        network = on_every_frame(static).eval()
    else:
        network, meta = load_video_network(path)
    network.refresh = network.refresh if refresh is None else refresh
    facts = {"classes": numbered(network.classes), "colours": list(made_up_colours(network.classes)), **meta}
    if not _fit(facts, network.classes):
        raise DataError(f"{path} is damaged: it does not say what its {network.classes} classes or its size are")
    if classes not in (None, network.classes):
        raise DataError(
            f"the network {path} has {network.classes} classes, but the data has {classes}; "
            "evaluate it on the data set that it was trained for"
        )
    return network, facts


def read_facts(path: Path) -> dict[str, Any]:
    """Read the facts that are stored with a network, static or video, as they are, without making it.

    Raises:
        DataError: no such file, or it is damaged or no network.
    """
    content = load_tensors(path)
    try:
        return dict(json.loads(content["meta"]))
    except DAMAGED as error:
        raise DataError(f"{path} is damaged, or no network: it has no facts ({brief(error)})") from error


def _fit(facts: Mapping[str, Any], classes: int) -> bool:
    """Tell whether names, colours and size can be those of a network; the size may be absent."""

    def are(values: object, length: int, right: Callable[[Any], bool]) -> bool:
        return isinstance(values, list) and len(values) == length and all(map(right, values))

    named = are(facts["classes"], classes, is_name) and are(facts["colours"], classes, is_colour)
    return named and are(facts.get("size", [1, 1]), 2, lambda side: type(side) is int and 0 < side <= LONGEST)
