"""ETC: what makes a network that sees single frames, or any cell, label a video steadily, at no cost afterwards.

Losses on a window of T >= 2 frames beside its cross-entropy, as section 3 of Liu et al., ECCV 2020 defines them (ETC,
arXiv:2002.11433). One temporal loss; and three that hand down what a better, frozen network, the teacher, makes of the
same window: of single frames, of pairs of consecutive frames, and of all frames. How to use them:

    weights = TermWeights(temporal=0.1, single_frame=0.1, pair_frame=0.1, multi_frame=0.1)
    terms = TemporalTerms(weights, seed)
    loss = cross_entropy + terms(Outputs(logits, features), images, flows, teacher=Outputs(logits, features))

These weights are the paper's. Where its published code does otherwise than the paper, the paper stands: the
temporal loss is on probabilities and not on logits, cosines are true ones. What both leave open is marked as ours.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.warping import in_frame, warp

PAIRED_SIDE: Final = 48
"""Longest side of maps whose positions are compared pair by pair: 2304 positions, 21 MB a map."""
SEQUENCE_SIDE: Final = 6  # of the maps whose self-similarities the ConvLSTM reads, as in the published code
HIDDEN: Final = 4  # channels of the ConvLSTM, as in the published code
CLIP: Final = 0.1  # of the ConvLSTM's weights; ours, neither paper nor code states it


@dataclass(frozen=True, kw_only=True)
class TermWeights:
    """Weights of the losses; 0 leaves one out."""

    temporal: float
    single_frame: float
    pair_frame: float
    multi_frame: float

    @property
    def distils(self) -> bool:
        """Tell whether a loss needs a teacher."""
        return max(self.single_frame, self.pair_frame, self.multi_frame) > 0


@dataclass(frozen=True)
class Outputs:
    """Outputs of a network for each of the T frames of N windows, in time order."""

    logits: Sequence[Tensor]
    """Logits of each frame, (N, classes, h, w), in general at stride 8."""
    features: Sequence[Tensor]
    """Features of each frame, (N, C, h, w): the `dec` before the classifier. Student and teacher may differ in C."""

    def detached(self) -> "Outputs":
        """Return the same outputs without a way back for gradients."""
        return Outputs([each.detach() for each in self.logits], [each.detach() for each in self.features])


Term = Callable[[Outputs, Outputs], Tensor]  # from the outputs of student and teacher to a scalar


class TemporalTerms(nn.Module):
    """Weighted sum of all terms.

    The multi-frame term has weights that learn along with the network, so they belong into an optimiser, and into what
    is saved; without an optimiser they stay random, which also works.
    """

    def __init__(self, weights: TermWeights, seed: int, by_brightness: bool = True) -> None:
        """Prepare the terms.

        Args:
            weights: weight of each term.
            seed: seed of the multi-frame term's own weights.
            by_brightness: let the temporal loss count by `visibility`, as the paper does; else all that flow leads into
                the other frame counts fully, and whoever makes the flows leads it out where surfaces are covered.
        """
        super().__init__()
        self.weights, self._by_brightness = weights, by_brightness
        self.multi_frame = MultiFrame(seed)

    def forward(
        self, student: Outputs, images: Tensor, flows: Tensor | None = None, teacher: Outputs | None = None
    ) -> Tensor:
        """Return a scalar in float32, with a gradient through every frame of the student and none into the teacher.

        Args:
            student: outputs of the network that learns.
            images: normalised, (T, N, 3, H, W).
            flows: (T - 1, N, 2, H, W), from each frame after the first to the one before it, in pixels of `images`.
                The temporal loss works at this size: logits are upsampled to it, as they are for cross-entropy.
            teacher: outputs of the frozen network.

        Raises:
            ValueError: the temporal loss has a weight, but there are no flows, or a distillation, but no teacher.
        """
        weights, losses = self.weights, [torch.zeros((), device=images.device)]
        if weights.temporal > 0:
            if flows is None:
                raise ValueError("the temporal loss needs the flows between the frames")
            losses.append(weights.temporal * temporal_term(student.logits, images, flows, self._by_brightness))
        if weights.distils:
            if teacher is None:
                raise ValueError("distillation needs the outputs of a teacher")
            known = teacher.detached()
            distillations: tuple[tuple[float, Term], ...] = (
                (weights.single_frame, single_frame_term),
                (weights.pair_frame, pair_frame_term),
                (weights.multi_frame, self.multi_frame),
            )
            losses += [weight * term(student, known) for weight, term in distillations if weight > 0]
        return torch.stack(losses).sum()


def temporal_term(logits: Sequence[Tensor], images: Tensor, flows: Tensor, by_brightness: bool = True) -> Tensor:
    """Mean of `temporal_loss` between each frame and the one before it; arguments as in `TemporalTerms`."""
    size = images.shape[-2:]
    full = [functional.interpolate(each.float(), size, mode="bilinear", align_corners=False) for each in logits]
    probabilities = [each.softmax(1) for each in full]
    return _mean(
        temporal_loss(later, earlier, flow, visibility(image, before, flow) if by_brightness else in_frame(flow))
        for (earlier, later), (before, image), flow in zip(
            pairwise(probabilities), pairwise(images), flows, strict=True
        )
    )


def temporal_loss(probabilities: Tensor, other: Tensor, flow: Tensor, visible: Tensor) -> Tensor:
    """Compute (1 / HW) sum_i V_i |q_i - q'_i|^2, a scalar: section 3's motion-guided loss, without FlowNet.

    Args:
        probabilities: class probabilities q of a frame, (N, classes, H, W).
        other: class probabilities of the other frame, warped to the frame to give q'; both get gradients.
        flow: flow from the frame to the other one, (N, 2, H, W).
        visible: weight V of each pixel, in [0, 1], (N, H, W).
    """
    return (visible * (probabilities - warp(other, flow)).square().sum(1)).mean()


def visibility(image: Tensor, other: Tensor, flow: Tensor) -> Tensor:
    """Compute V = exp(-|I - I'|), in [0, 1], (N, H, W): how surely a pixel shows the same surface in the other frame.

    I and I' are the normalised images (N, 3, H, W) of the frame and, warped to it, of the other one. Ours: |.| is the
    sum of the channels' absolute differences, and V is 0 where the other frame does not reach.
    """
    difference = (image - warp(other, flow)).abs().sum(1)
    return (-difference).exp() * in_frame(flow)


def single_frame_term(student: Outputs, teacher: Outputs) -> Tensor:
    """Divergence of the probabilities plus distance of the self-similarities of features, each a mean over frames.

    Structured distillation (Liu et al., CVPR 2019). Ours: every frame counts alike; the published code takes the frames
    beside the labelled one by 0.4.
    """
    pixels = _mean(pixel_divergence(s, t) for s, t in zip(student.logits, teacher.logits, strict=True))
    pairs = _mean(
        similarity_distance((s, s), (t, t), PAIRED_SIDE)
        for s, t in zip(student.features, teacher.features, strict=True)
    )
    return pixels + pairs


def pair_frame_term(student: Outputs, teacher: Outputs) -> Tensor:
    """Distance of the similarities of class probabilities between consecutive frames: "pair-wise-frame dependency"."""
    seen, known = ([each.float().softmax(1) for each in outputs.logits] for outputs in (student, teacher))
    pairs = zip(pairwise(seen), pairwise(known), strict=True)
    return _mean(similarity_distance(mine, theirs, PAIRED_SIDE) for mine, theirs in pairs)


def pixel_divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """Compute KL(teacher || student) of the class probabilities behind logits (N, classes, h, w), meant over pixels."""
    log_student, log_teacher = (logits.float().log_softmax(1) for logits in (student, teacher))
    return (log_teacher.exp() * (log_teacher - log_student)).sum(1).mean()


def similarity_distance(student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor], side: int) -> Tensor:
    """Mean squared difference of two networks' similarities; each of two maps, and the same map twice for one frame."""
    return functional.mse_loss(similarity(*student, side), similarity(*teacher, side))


def similarity(first: Tensor, second: Tensor, side: int) -> Tensor:
    """Cosine of every position of one map (N, C, h, w) with every position of another, (N, P, P), in [-1, 1].

    Maps higher or wider than `side` are first averaged down to it, so that P <= side ** 2.
    """
    size = min(first.shape[-2], side), min(first.shape[-1], side)
    one, two = (
        functional.normalize(functional.adaptive_avg_pool2d(each.float(), size).flatten(2), dim=1)
        for each in (first, second)
    )
    return one.transpose(1, 2) @ two


class MultiFrame(nn.Module):
    """Distance of what a ConvLSTM remembers of the self-similarities of all frames: "multi-frame dependency".

    The ConvLSTM (no peepholes) is shared by student and teacher. With all weights 0 it would make any two networks
    alike, so weights are clipped to [-CLIP, CLIP], and the teacher's state, to be kept large, is subtracted.
    """

    def __init__(self, seed: int) -> None:
        """Draw the weights from the whole clipping range (ours)."""
        super().__init__()
        self.gates = nn.Conv2d(1 + HIDDEN, 4 * HIDDEN, 3, padding=1)
        generator = torch.Generator().manual_seed(seed)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -CLIP, CLIP, generator)

    def forward(self, student: Outputs, teacher: Outputs) -> Tensor:
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.clamp_(-CLIP, CLIP)  # after the optimiser's step, before the next use
        mine, theirs = self.state(student.features), self.state(teacher.features)
        return functional.mse_loss(mine, theirs) - theirs.mean()

    def state(self, features: Sequence[Tensor]) -> Tensor:
        """Compute the cell state after the last frame, (N, HIDDEN, P, P) with P <= SEQUENCE_SIDE ** 2."""
        hidden = cell = None
        for each in features:
            seen = similarity(each, each, SEQUENCE_SIDE)[:, None]
            if hidden is None or cell is None:
                hidden = cell = seen.new_zeros(len(seen), HIDDEN, *seen.shape[-2:])
            read, forget, write, proposal = self.gates(torch.cat([seen, hidden], 1)).chunk(4, 1)
            cell = forget.sigmoid() * cell + write.sigmoid() * proposal.tanh()
            hidden = read.sigmoid() * cell.tanh()
        if cell is None:
            raise ValueError("a window must have frames")
        return cell


def _mean(losses: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(losses)).mean()
