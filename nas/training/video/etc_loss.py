"""ETC's losses beside the cross-entropy of a retraining; `baselines/etc_distillation.py` says what they are.

Unlike there, the frames of a pair are always consecutive ones of a window, and none are drawn at random distances.
"""

from torch import Tensor

from baselines.etc_distillation import Outputs, TemporalTerms, TermWeights
from nas.settings.compute import Compute
from nas.settings.retrain_config import EtcConfig
from nas.training.video.windows import Windows


class EtcLoss:
    """The weighted sum of all terms; those that distil need a network to `distill_from`."""

    def __init__(self, config: EtcConfig, compute: Compute, seed: int) -> None:
        """Prepare the terms.

        Args:
            config: the weights.
            compute: device and precision.
            seed: seed of the multi-frame term's weights, which learn along with the network.
        """
        distils = config.distill_from is not None
        single, pair, multi = (config.single_frame, config.pair_frame, config.multi_frame) if distils else (0, 0, 0)
        weights = TermWeights(temporal=config.temporal_loss, single_frame=single, pair_frame=pair, multi_frame=multi)
        self.terms = TemporalTerms(weights, seed, by_brightness=config.occlusion == "brightness").to(compute.device)

    def __call__(self, student: Outputs, windows: Windows, teacher: Outputs | None) -> Tensor:
        """Compute the loss, a scalar in float32, of what student and teacher make of the same windows."""
        loss: Tensor = self.terms(student, windows.images, windows.flows, teacher)
        return loss
