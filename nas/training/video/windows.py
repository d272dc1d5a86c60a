"""Windows of frames in training: their images, labels and flows, and how a video network runs over them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.etc_distillation import Outputs
from nas.networks.heads import unroll_dec
from nas.networks.video_network import VideoNetwork
from nas.training.augmentation import Views
from searchspace.modules.cell import Features


@dataclass(frozen=True)
class Windows:
    """N windows of T frames, in time order."""

    images: Tensor
    """Normalised images, (T, N, 3, H, W)."""
    labels: Tensor
    """Class of each pixel, uint8 (T, N, H, W), `VOID` where there is none."""
    labelled: tuple[bool, ...]
    """Marks of the T frames: true where any window has a label."""
    flows: Tensor | None = None
    """Flows (T - 1, N, 2, H, W) from each frame after the first to the one before it; None where none are needed."""

    def apply(self, views: Views) -> "Windows":
        """Put all frames of each window in its view."""
        flows = None if self.flows is None else views.of_flows(self.flows)
        return Windows(views.of_images(self.images), views.of_labels(self.labels), self.labelled, flows)


def outputs(network: VideoNetwork, images: Tensor, static_learns: bool) -> Outputs:
    """Run a network over every frame of some windows.

    Args:
        network: network in the mode that the caller wants.
        images: (T, N, 3, H, W).
        static_learns: let gradients into the encoder and the decoder.
    """
    return head_outputs(network, read_clip(network, images, network.head.needs, static_learns))


def read_clip(network: VideoNetwork, images: Tensor, needs: Collection[str], static_learns: bool) -> Sequence[Features]:
    """Compute the features of every frame of some windows: all those of the first, `needs` of the others.

    Arguments are those of `outputs`.
    """
    with torch.set_grad_enabled(static_learns and torch.is_grad_enabled()):
        return network.static.clip_features(images, needs)


def head_outputs(network: VideoNetwork, clip: Sequence[Features]) -> Outputs:
    """Run the head of a network, and its classifiers, over a clip that has what the head needs of each frame."""
    features = [clip[0]["dec"], *unroll_dec(network.head, clip)]
    later = [network.head.classifier(dec) for dec in features[1:]]
    return Outputs([network.static.classifier(features[0]), *later], features)
