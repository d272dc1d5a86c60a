"""The per-frame network, which has no memory: the static network on every frame, the floor for every cell.

It is a head like a cell, trained and scored in the same way, but all it learns is a classifier.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from searchspace.modules.cell import Features, State


class PerFrame(nn.Module):
    """The static decoder's `dec` of each frame, and a classifier on it."""

    genotype = None
    needs = frozenset({"dec"})
    slots = 0

    def __init__(self, channels: Mapping[str, int], classes: int) -> None:
        """Make a classifier.

        Args:
            channels: number of channels of `dec`, under this name.
            classes: of the segmentation.
        """
        super().__init__()
        self.classifier = nn.Conv2d(channels["dec"], classes, 3, padding=1)

    def init_state(self, first: Features) -> State:
        """Start with the empty memory, as nothing is remembered of the first frame."""
        return ()

    def step(self, features: Features, state: State, present: Tensor | None = None) -> tuple[Tensor, State]:
        """Return the `dec` (N, channels, h, w) of this frame and the empty memory, of which no slot can be absent."""
        return features["dec"], state
