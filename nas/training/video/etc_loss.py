"""ETC's losses beside the cross-entropy of a retraining; `baselines/etc_distillation.py` says what they are.

Unlike there, the frames of a pair are always consecutive ones of a window, and none are drawn at random distances.
"""

import torch
from torch import Tensor

from baselines.etc_distillation import Outputs, TemporalTerms, TermWeights
from nas.networks.video_network import VideoNetwork
from nas.settings.compute import Compute
from nas.settings.retrain_config import EtcConfig
from nas.training.video.windows import Windows, outputs


class EtcLoss:
    """Weighted sum of ETC's terms, those of distillation only where there is a teacher."""

    def __init__(self, config: EtcConfig, teacher: VideoNetwork | None, compute: Compute, seed: int) -> None:
        """Prepare the terms.

        Args:
            config: weights of the terms.
            teacher: a trained network; it is moved to the device and stays as it is.
            compute: where and how precisely.
            seed: seed of the multi-frame term's weights, which learn along with the network.
        """
        single, pair, multi = (config.single_frame, config.pair_frame, config.multi_frame) if teacher else (0, 0, 0)
        weights = TermWeights(temporal=config.temporal_loss, single_frame=single, pair_frame=pair, multi_frame=multi)
        self.terms = TemporalTerms(weights, seed, by_brightness=config.occlusion == "brightness").to(compute.device)
        self._compute = compute
        self._teacher = teacher
        if teacher is not None:
            teacher.to(compute.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    def __call__(self, student: Outputs, windows: Windows) -> Tensor:
        """Return a scalar in float32."""
        known = None
        if self._teacher is not None:
            with torch.no_grad(), self._compute.autocast():
                known = outputs(self._teacher, windows.images, static_learns=False)
        loss: Tensor = self.terms(student, windows.images, windows.flows, known)
        return loss
