"""Costing a candidate: what its later frames take, counted beside the per-frame network's, and measured."""

import copy
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from cache.static.decoder import DECODED
from cache.static.encoder import STRIDES
from cache.static.network import StaticNetwork
from nas.evaluation.head_cost import complexity, multiply_adds
from nas.evaluation.latency import measure
from nas.evaluation.latency_table import LatencyTable
from nas.evaluation.network_cost import over_clip
from nas.networks.heads import Head, full_state
from nas.training.candidates.clips import Clips

REPEATS: Final = 5  # of a step, whose median is its latency
RELATIVE: Final = ("relative_macs", "relative_macs_later")


@dataclass(frozen=True)
class Costs:
    """Costs of a candidate, batch 1, with a full memory."""

    counts: Mapping[str, float]
    """`parameters`, `macs` and `state_bytes` of a later frame after the encoder, as `complexity` counts them; and
    `relative_macs` and `relative_macs_later`, encoder included, over the per-frame network's, as `count_costs` does;
    and what the table of latencies predicts, if there is one."""
    latency: float
    """Median seconds of a later frame after the encoder, on this machine."""


class Costing:
    """Counts and times heads on a frame; what they have learnt makes no difference.

    The static network's share is counted once for all heads that need the same of it. The relative costs are those of
    `count_costs`; they are counted and not timed: they are the same whenever that is done, and so are rewards that
    hang on them. Timing whole frames would take seconds, and other workers run beside it.

    Args:
        clips: that hold the frame.
        position: of the frame.
        static: network that the features are of; its decoder runs on every frame for a head that needs `dec`. If it
            reads `layer1`, which no cell does and no cache holds, zeros stand in.
        refresh: frames from one key frame to the next; 0 has none after a clip's first.
        latencies: times of blocks, from which relative latencies are predicted.
    """

    def __init__(
        self,
        clips: Clips,
        position: int,
        static: StaticNetwork,
        refresh: int = 0,
        latencies: LatencyTable | None = None,
    ) -> None:
        self._compute, self._static, self._refresh, self._latencies = clips.compute, static, refresh, latencies
        self._features = clips.frame(position)
        height, width = (-(-side // STRIDES["layer1"]) for side in clips.image_size)
        layer1 = (static.encoder.channels["layer1"], height, width)
        self._encoded = {**self._features, "layer1": self._features["layer2"].new_zeros(1, *layer1)}
        self._sizes = {**clips.sizes, "layer1": layer1}
        self._twin = copy.deepcopy(static).to("meta").eval()
        self._image = torch.empty(1, 3, *clips.image_size, device="meta")
        self._per_frame = multiply_adds(lambda: self._twin(self._image))
        self._encoder: dict[frozenset[str], int] = {}

    @torch.no_grad()
    def __call__(self, head: Head) -> Costs:
        """Cost a head, and leave it in eval mode."""
        head.train(False)
        counts: dict[str, float] = {**complexity(head, self._sizes, self._static.decoder)}
        later = self._encoder_macs(head.needs) + counts["macs"]
        relative = (over_clip(self._per_frame, later, self._refresh), later)
        counts |= {name: macs / self._per_frame for name, macs in zip(RELATIVE, relative, strict=True)}
        counts |= self._latencies.costs(head.genotype, self._refresh) if self._latencies else {}
        return Costs(counts, self._latency(head))

    def _encoder_macs(self, needs: Collection[str]) -> int:
        """Count what the encoder takes on a later frame, halved or not, to make what a head needs."""
        encoded = frozenset({*DECODED, *needs} if "dec" in needs else needs) - {"dec"}
        if encoded not in self._encoder:
            self._encoder[encoded] = multiply_adds(lambda: self._twin.features(self._image, encoded))
        return self._encoder[encoded]

    def _latency(self, head: Head) -> float:
        """Measure seconds of a later frame after the encoder."""
        with self._compute.autocast():
            state = full_state(head, self._features)

        def later_frame() -> Tensor:
            with self._compute.autocast():
                if "dec" in head.needs:
                    self._static.decoder(self._encoded)
                dec, _ = head.step(self._features, state)
                logits: Tensor = head.classifier(dec)
                return logits

        return measure(later_frame, self._compute.device, repeats=REPEATS).median
