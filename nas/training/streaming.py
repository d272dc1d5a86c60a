"""Video networks over whole recordings, frame after frame, as they are used."""

import itertools
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from cache.datasets.clips import Frame, runs
from nas.training.compute import Compute
from nas.training.frames import Frames
from nas.training.metrics import ConfusionMatrix
from nas.training.pretraining import classes_of
from nas.training.video_network import VideoNetwork


def recordings(frames: Sequence[Frame]) -> tuple[range, ...]:
    """Positions of pieces without a jump, each up to its last labelled frame."""
    ends = ((run, [place for place in run if frames[place].labelled]) for run in runs(frames))
    return tuple(range(run.start, labelled[-1] + 1) for run, labelled in ends if labelled)


def streaming_confusion(
    network: VideoNetwork, frames: Frames, recordings: Sequence[range], compute: Compute
) -> ConfusionMatrix:
    """Score a network, which is left in eval mode, on all frames but the first ones of recordings."""
    network.eval()
    matrix = ConfusionMatrix(network.classes, compute.device)
    for recording in recordings:
        stream = segmented(network, frames, ([place] for place in recording), compute)
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
