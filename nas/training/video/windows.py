"""Windows of frames in training: their images, labels and flows, and how a video network runs over them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.etc_distillation import Outputs
from nas.networks.heads import unroll_dec
from nas.networks.video_network import VideoNetwork
from nas.training.augmentation import Views


@dataclass(frozen=True)
class Windows:
    """N windows of T frames, in time order."""

    images: Tensor
    """Normalised images, (T, N, 3, H, W)."""
    labels: Tensor
    """Class of each pixel, uint8 (T, N, H, W), `VOID` where there is none."""
    flows: Tensor | None = None
    """Flows (T - 1, N, 2, H, W) from each frame after the first to the one before it; None where none are needed."""

    def apply(self, views: Views) -> "Windows":
        """Put all frames of each window in its view."""
        flows = None if self.flows is None else views.of_flows(self.flows)
        return Windows(views.of_images(self.images), views.of_labels(self.labels), flows)


def outputs(network: VideoNetwork, images: Tensor, static_learns: bool) -> Outputs:
    """Run a network over every frame of some windows.

    Args:
        network: in the mode that the caller wants.
        images: (T, N, 3, H, W).
        static_learns: let gradients into the encoder and the decoder.
    """
    with torch.set_grad_enabled(static_learns and torch.is_grad_enabled()):
        clip = network.static.clip_features(images, network.head.needs)
    features = [clip[0]["dec"], *unroll_dec(network.head, clip)]
    later = [network.head.classifier(dec) for dec in features[1:]]
    return Outputs([network.static.classifier(features[0]), *later], features)
