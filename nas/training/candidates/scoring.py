"""Scoring a candidate: streamed over meta-val, as cells are used, against the labels and the static network."""

from collections.abc import Sequence
from typing import Final

import torch
from torch import nn

from cache.rows import batched
from nas.evaluation.metrics import ConfusionMatrix
from nas.networks.heads import Head
from nas.networks.key_frames import is_key_frame
from nas.networks.logits import classes_of
from nas.training.candidates.clips import Clips
from searchspace.modules.cell import State

AT_ONCE: Final = 4  # stretches of equal length side by side: few logits, upsampled, stay in the processor's cache


@torch.no_grad()
def score(
    head: Head, classifier: nn.Conv2d, clips: Clips, stretches: Sequence[tuple[int, ...]], refresh: int = 0
) -> dict[str, float]:
    """Score a head on all frames but the first of each stretch, at the labels' size.

    Args:
        head: left in eval mode.
        classifier: of the static network, which labels key frames, and with whose labels all frames' are compared.
        clips: that the frames are of.
        stretches: positions of consecutive frames, two or more, in time order.
        refresh: frames from one key frame to the next; 0 has none after the first frame.

    Returns:
        `miou`, `fwiou` and `mean_accuracy`, of labelled frames; and of all frames, against the static network's own
        labels, `agreement`, the share of pixels that are equal, and `agreement_miou`. Each is in [0, 1].

    Raises:
        DataError: no pixel of the scored frames is labelled.
        NonFiniteError: a logit is infinite or NaN.
    """
    head.train(False)
    right, agreed = (ConfusionMatrix(classifier.out_channels, clips.compute.device) for _ in range(2))
    for positions in batched(stretches, AT_ONCE):
        state: State = ()
        for time, frame in enumerate(clips.batches(positions.T[..., None], label="label", of=slice(None))):
            [features], [labels] = clips.features(frame), frame["label"]
            with clips.compute.autocast():
                known = logits = classifier(features["dec"])
                if is_key_frame(time, refresh):
                    state = head.init_state(features)
                else:
                    dec, state = head.step(features, state)
                    logits = head.classifier(dec)
            if time > 0:
                taught = classes_of(known, labels.shape[1:])
                seen = taught if logits is known else classes_of(logits, labels.shape[1:])
                right.update(seen, labels)
                agreed.update(seen, taught)
    return right.scores() | {"agreement": agreed.pixel_accuracy(), "agreement_miou": agreed.miou()}
