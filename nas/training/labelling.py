"""A trained network as it is used: the frames of one recording go in one by one, label maps come out."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from baselines.per_frame import PerFrame
from cache.datasets.folder import is_colour, is_name, made_up_colours
from cache.errors import DataError
from cache.images import normalise, resize_image, scaled_size
from cache.static.network import FORMAT as STATIC
from cache.static.network import load_checkpoint, load_tensors
from nas.training.compute import Compute
from nas.training.pretraining import classes_of
from nas.training.video_network import VideoNetwork, load_video_network
from searchspace.cell import State

Pixels = NDArray[np.uint8]
LONGEST: Final = 2**14  # pixels of a side at which a network may have been trained


def load_network(path: Path) -> tuple[VideoNetwork, dict[str, Any]]:
    """Read a video network, or a static one as the per-frame network that it is.

    Returns:
        The network in eval mode on the CPU, and its facts, with made-up `classes` and `colours` where it has none.

    Raises:
        DataError: no such file, or it is neither, or it is damaged.
    """
    if load_tensors(path).get("format") == STATIC:
        static, meta = load_checkpoint(path)
        head = PerFrame(static.channels, static.classes)
        head.classifier.load_state_dict(static.classifier.state_dict())
        network = VideoNetwork(static, head).eval()
    else:
        network, meta = load_video_network(path)
    numbered = [f"class {number}" for number in range(network.classes)]
    facts = {"classes": numbered, "colours": list(made_up_colours(network.classes)), **meta}
    if not _fit(facts, network.classes):
        raise DataError(f"{path} is damaged: it does not say what its {network.classes} classes or its size are")
    return network, facts


def _fit(facts: Mapping[str, Any], classes: int) -> bool:
    """Whether names, colours and size can be those of a network; the size may be absent."""

    def are(values: object, length: int, right: Callable[[Any], bool]) -> bool:
        return isinstance(values, list) and len(values) == length and all(map(right, values))

    named = are(facts["classes"], classes, is_name) and are(facts["colours"], classes, is_colour)
    return named and are(facts.get("size", [1, 1]), 2, lambda side: type(side) is int and 0 < side <= LONGEST)


def working_size(size: tuple[int, int], meta: Mapping[str, Any], scale: float | None) -> tuple[int, int]:
    """Height and width at which a network looks at frames of `size`; their aspect ratio is kept.

    Args:
        size: of the frames.
        meta: facts of the network, with the `size` that it was trained at.
        scale: share of `size` to work at; None for as long a shorter side as in training, so that things look as large
            as they did there.
    """
    if scale is None:
        scale = min(meta["size"]) / min(size) if "size" in meta else 1.0
    return scaled_size(size, scale)


class Labeller:
    """Labels the frames of one recording in time order, and holds nothing but the network's memory between them."""

    def __init__(self, network: VideoNetwork, size: tuple[int, int], compute: Compute) -> None:
        """Start a recording.

        Args:
            network: in eval mode, on the device of `compute`.
            size: working height and width.
            compute: device and precision.
        """
        self._network, self._size, self._compute = network, size, compute
        self._state: State | None = None

    @torch.inference_mode()
    def __call__(self, image: Pixels) -> Pixels:
        """The class of each pixel (H, W) of the next frame, RGB (H, W, 3) of any size. Raises NonFiniteError."""
        pixels = torch.from_numpy(normalise(resize_image(image, self._size)))
        batch = pixels.to(self._compute.device).permute(2, 0, 1)[None]
        with self._compute.autocast():
            logits, self._state = self._network(batch, self._state)
        label: Pixels = classes_of(logits, image.shape[:2])[0].to(torch.uint8).cpu().numpy()
        return label
