"""Heads: what replaces the decoder after the first frame, how one is built, and how it is run over a clip.

Training, scoring and everything that streams run a head in this one way.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from baselines.per_frame import PerFrame
from cache.static.network import StaticNetwork
from searchspace.genotype import Genotype
from searchspace.modules.cell import DynamicCell, Features, State


class Head(Protocol):
    """Replacement of the decoder after the first frame: a dynamic cell, a fixed point or the per-frame network.

    It is a module of PyTorch, too. It says by values what it is and what it costs, and nobody asks for its class.
    """

    @property
    def genotype(self) -> Genotype | None:
        """Genotype of a cell, from which it can be built again; None for the per-frame network, which needs none."""

    @property
    def needs(self) -> frozenset[str]:
        """Names of the features that it reads of a later frame; no others are computed there."""

    @property
    def slots(self) -> int:
        """Number of frames that the memory holds when it is full."""

    @property
    def classifier(self) -> nn.Conv2d:
        """Maps `dec` (N, 64, h, w) to logits (N, classes, h, w)."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Yield all weights, the classifier's among them."""

    def state_dict(self) -> Mapping[str, Tensor]:
        """Name all weights and statistics, as in `nn.Module`."""

    def train(self, mode: bool = True) -> object:
        """Switch batch norm between batch statistics and remembered ones, as in `nn.Module`."""

    def init_state(self, first: Features) -> State:
        """Start the memory from all features of the first frame of a clip."""

    def step(self, features: Features, state: State, present: Tensor | None = None) -> tuple[Tensor, State]:
        """Make a later frame's `dec` (N, 64, h/8, w/8), and what is remembered from here on.

        Args:
            features: of the frame, those that the head `needs`.
            state: what the frame before left.
            present: which slots have been filled, as in a cell; None for all.
        """


def unroll(head: Head, clip: Sequence[Features]) -> list[Tensor]:
    """Run a head over a clip from its first frame.

    Args:
        head: in train or eval mode, as the caller wants it.
        clip: one batch of N features for each frame, in time order.

    Returns:
        Logits (N, classes, h/8, w/8) of every frame after the first, before upsampling.
    """
    return [head.classifier(dec) for dec in unroll_dec(head, clip)]


def unroll_dec(head: Head, clip: Sequence[Features]) -> list[Tensor]:
    """Run a head as `unroll` does, and return each frame's `dec` (N, 64, h/8, w/8), before the classifier."""
    first, *later = clip
    state = head.init_state(first)
    decs = []
    for features in later:
        dec, state = head.step(features, state)
        decs.append(dec)
    return decs


def full_state(head: Head, features: Features) -> State:
    """Fill the memory of a head with as many frames as it holds, all alike."""
    state = head.init_state(features)
    while True:
        _, longer = head.step(features, state)
        if len(longer) == len(state):
            return longer
        state = longer


def head_on(static: StaticNetwork, genotype: Genotype | None, seed: int) -> DynamicCell | PerFrame:
    """Build a head as `build_head` does, to run on a static network's features: its classifier is what that has."""
    head = build_head(genotype, static.channels, static.classes, seed)
    head.classifier.load_state_dict(static.classifier.state_dict())
    return head


def build_head(
    genotype: Genotype | None, channels: Mapping[str, int], classes: int, seed: int
) -> DynamicCell | PerFrame:
    """Build a head with weights drawn from `seed`; equal cells get equal weights, however they are described.

    Args:
        genotype: of a cell; None for the per-frame network.
        channels: number of channels of each feature, as the static network has them.
        classes: of the classifier.
        seed: of the initial weights; torch's global generator stays as it is.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        if genotype is None:
            return PerFrame(channels, classes)
        return DynamicCell(genotype.canonical(), channels, classes)
