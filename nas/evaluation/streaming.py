"""Video networks over whole clips, frame after frame, as they are used."""

import itertools
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from cache.frames import Frames
from nas.evaluation.metrics import ConfusionMatrix
from nas.networks.key_frames import Stream
from nas.networks.logits import classes_of
from nas.networks.video_network import VideoNetwork
from nas.settings.compute import Compute


def streaming_confusion(
    network: VideoNetwork, frames: Frames, clips: Sequence[range], compute: Compute
) -> ConfusionMatrix:
    """Score a network, which is left in eval mode, on all frames after the first ones of clips, key frames too."""
    network.eval()
    matrix = ConfusionMatrix(network.classes, compute.device)
    for clip in clips:
        stream = segmented(network, frames, ([place] for place in clip), compute)
        for pred, labels in itertools.islice(stream, 1, None):
            matrix.update(pred, labels)
    return matrix


@torch.no_grad()
def segmented(
    network: VideoNetwork,
    frames: Frames,
    clip: Iterable[Sequence[int]],
    compute: Compute,
    refresh: int | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Run a network, as it is, over N clips side by side, frame after frame.

    Args:
        network: on the device.
        frames: at the working resolution.
        clip: positions of the N first frames, of the N second frames, and so on.
        compute: where and how precisely.
        refresh: frames from one key frame to the next; None for the network's own.

    Yields:
        Of each time: predicted classes, int64 (N, H, W), and labels, uint8 (N, H, W).
    """
    stream = Stream(network, refresh)
    for positions in clip:
        images, labels = frames.batch(positions, compute.device)
        with compute.autocast():
            logits = stream(images)
        yield classes_of(logits, labels.shape[-2:]), labels
