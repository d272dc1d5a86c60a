"""ETC's losses beside the cross-entropy of a retraining; `baselines/etc_distillation.py` says what they are.

Unlike there, the frames of a pair are always consecutive ones of a window, and none are drawn at random distances.
"""

from baselines.etc_distillation import TemporalTerms, TermWeights
from nas.settings.compute import Compute
from nas.settings.retrain_config import EtcConfig


def temporal_terms(config: EtcConfig, compute: Compute, seed: int) -> TemporalTerms:
    """Make the weighted sum of all terms, of which those that distil need a network to `distill_from`.

    Args:
        config: weights of the terms.
        compute: device that they are computed on.
        seed: seed of the multi-frame term's weights, which learn along with the network.
    """
    distils = config.distill_from is not None
    single, pair, multi = (config.single_frame, config.pair_frame, config.multi_frame) if distils else (0, 0, 0)
    weights = TermWeights(temporal=config.temporal_loss, single_frame=single, pair_frame=pair, multi_frame=multi)
    return TemporalTerms(weights, seed, by_brightness=config.occlusion == "brightness").to(compute.device)
