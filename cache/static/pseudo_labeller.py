"""PseudoLabeller: a trained static network whose labels stand in for masks, so that scores are agreement with it."""

import threading
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from cache.datasets.palette import is_colour, is_name, made_up_colours
from cache.errors import DataError
from cache.frames import network_input
from cache.static.network import load_checkpoint, weights_fingerprint


class PseudoLabeller:
    """Labels single frames as the static network of a checkpoint does."""

    def __init__(self, checkpoint: Path, device: torch.device | str = "cpu") -> None:
        """Read a static network, or that in a retrained one. Raises DataError if there is none, or of odd classes."""
        network, facts = load_checkpoint(checkpoint)
        names = facts.get("classes") or [f"class {number}" for number in range(network.classes)]
        colours = facts.get("colours") or made_up_colours(network.classes)
        right = all(map(is_name, names)) and all(map(is_colour, colours))
        if not right or not len(names) == len(colours) == network.classes:
            raise DataError(f"{checkpoint} does not say what its {network.classes} classes are; train it again")
        self.path, self.fingerprint = checkpoint, weights_fingerprint(network)
        self.classes: tuple[str, ...] = tuple(names)
        self.colours = tuple((red, green, blue) for red, green, blue in colours)
        self.height: int | None = (facts.get("size") or [None])[0]
        """Height in pixels at which the network was trained; None where it does not say."""
        self._network, self._device = network.freeze().to(device), device
        self._lock = threading.Lock()

    @torch.inference_mode()
    def label(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Label an RGB image (H, W, 3): the class of each pixel, uint8 (H, W).

        Raises:
            DataError: the network gives infinities or NaN.
        """
        height, width, _ = image.shape
        with self._lock:  # the network uses all cores for one frame
            logits = self._network(network_input([image], (height, width), self._device)).float()
        if not torch.isfinite(logits).all():
            raise DataError(f"the network {self.path} gives no finite numbers; its weights are too large")
        upsampled = functional.interpolate(logits, (height, width), mode="bilinear", align_corners=False)
        label: NDArray[np.uint8] = upsampled.argmax(1)[0].byte().cpu().numpy()
        return label
