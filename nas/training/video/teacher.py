"""The teacher of a retraining: a frozen network, and how far another one is from it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from baselines.etc_distillation import Outputs, pixel_divergence
from cache.static.network import StaticNetwork, weights_fingerprint
from nas.networks.video_network import VideoNetwork
from nas.settings.compute import Compute
from nas.settings.retrain_config import RecipeConfig
from nas.training.losses import relative_error
from nas.training.video.windows import head_outputs, outputs
from searchspace.modules.cell import Features


class Teacher:
    """A trained network, which stays as it is and says what it makes of windows."""

    def __init__(self, network: VideoNetwork, compute: Compute) -> None:
        """Take a network, which is moved to the device."""
        self._network: VideoNetwork = network.to(compute.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._network.eval()
        self._compute = compute

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Outputs:
        """Run over the images (T, N, 3, H, W) of windows."""
        with self._compute.autocast():
            return outputs(self._network, images, static_learns=False)

    @torch.no_grad()
    def of_features(self, clip: Sequence[Features]) -> Outputs:
        """Do the same with features of windows that it `shares`, what it `needs` of later frames among them."""
        with self._compute.autocast():
            return head_outputs(self._network, clip)

    @property
    def needs(self) -> frozenset[str]:
        """Names of the features that it reads of later frames."""
        return self._network.head.needs

    def shares(self, static: StaticNetwork) -> bool:
        """Tell whether the features that a static network computes are the teacher's, too, while it does not learn."""
        return weights_fingerprint(static) == weights_fingerprint(self._network.static)


def imitation(recipe: RecipeConfig, student: Outputs, teacher: Outputs, start: int) -> Tensor:
    """Weigh the distances of a student's outputs from its teacher's, and add them up from frame `start`: a scalar.

    The two `dec`s are compared where they are equally wide.
    """
    losses = [torch.zeros((), device=student.logits[0].device)]
    if recipe.logit_weight > 0:
        pairs = zip(student.logits[start:], teacher.logits[start:], strict=True)
        losses += [recipe.logit_weight * pixel_divergence(seen, known) for seen, known in pairs]
    if recipe.dec_weight > 0 and student.features[0].shape[1] == teacher.features[0].shape[1]:
        pairs = zip(student.features[start:], teacher.features[start:], strict=True)
        losses += [recipe.dec_weight * relative_error(seen, known) for seen, known in pairs]
    return torch.stack(losses).sum()
