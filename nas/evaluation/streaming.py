"""Video networks over whole clips, frame after frame, as they are used."""

import itertools
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from cache.frames import Frames
from nas.evaluation.metrics import ConfusionMatrix
from nas.networks.logits import classes_of
from nas.networks.video_network import VideoNetwork
from nas.settings.compute import Compute


def streaming_confusion(
    network: VideoNetwork, frames: Frames, clips: Sequence[range], compute: Compute
) -> ConfusionMatrix:
    """Score a network, which is left in eval mode, on all frames but the first ones of clips."""
    network.eval()
    matrix = ConfusionMatrix(network.classes, compute.device)
    for clip in clips:
        stream = segmented(network, frames, ([place] for place in clip), compute)
        for pred, labels in itertools.islice(stream, 1, None):
            matrix.update(pred, labels)
    return matrix


@torch.no_grad()
def segmented(
    network: VideoNetwork, frames: Frames, clip: Iterable[Sequence[int]], compute: Compute
) -> Iterator[tuple[Tensor, Tensor]]:
    """Run a network, as it is, over N clips side by side, frame after frame.

    Args:
        network: on the device.
        frames: at the working resolution.
        clip: positions of the N first frames, of the N second frames, and so on.
        compute: where and how precisely.

    Yields:
        Of each time: predicted classes, int64 (N, H, W), and labels, uint8 (N, H, W).
    """
    state = None
    for positions in clip:
        images, labels = frames.batch(positions, compute.device)
        with compute.autocast():
            logits, state = network(images, state)
        yield classes_of(logits, labels.shape[-2:]), labels
