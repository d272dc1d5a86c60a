"""A trained network as it is used: the frames of one recording go in one by one, label maps come out."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cache.frames import network_input
from cache.images import scaled_size
from nas.labelled_video.cuts import CutDetector
from nas.networks.key_frames import Stream
from nas.networks.logits import classes_of
from nas.networks.video_network import VideoNetwork
from nas.settings.compute import Compute

Pixels = NDArray[np.uint8]


def working_size(size: tuple[int, int], meta: Mapping[str, Any], scale: float | None) -> tuple[int, int]:
    """Choose height and width at which a network looks at frames of `size`; their aspect ratio is kept.

    Args:
        size: height and width of the frames.
        meta: facts of the network, with the `size` that it was trained at.
        scale: share of `size` to work at; None for as long a shorter side as in training, so that things look as large
            as they did there.
    """
    if scale is None:
        scale = min(meta["size"]) / min(size) if "size" in meta else 1.0
    return scaled_size(size, scale)


class Labeller:
    """Labels the frames of one recording in time order, and holds nothing but the network's memory between them."""

    def __init__(self, network: VideoNetwork, size: tuple[int, int], compute: Compute, cuts: bool = False) -> None:
        """Start a recording.

        Args:
            network: in eval mode, on the device of `compute`; its `refresh` says which frames are key frames.
            size: working height and width.
            compute: device and precision.
            cuts: make the first frame after a cut a key frame, too.
        """
        self._stream, self._size, self._compute = Stream(network), size, compute
        self._comes_after_cut = CutDetector() if cuts else None
        self.cuts = 0
        """Number of cuts so far."""

    @torch.inference_mode()
    def __call__(self, image: Pixels) -> Pixels:
        """Label each pixel (H, W) of the next frame, RGB (H, W, 3) of any size. Raises NonFiniteError."""
        batch = network_input([image], self._size, self._compute.device)
        if self._comes_after_cut is not None and self._comes_after_cut(batch):
            self._stream.restart()
            self.cuts += 1
        with self._compute.autocast():
            logits = self._stream(batch)
        label: Pixels = classes_of(logits, image.shape[:2])[0].to(torch.uint8).cpu().numpy()
        return label
