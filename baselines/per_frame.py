"""No memory: the static network on every frame, the floor that every cell has to beat.

It is a head like a cell, trained and scored in the same way, but all it learns is a classifier.
"""

from torch import Tensor, nn

from searchspace.modules.cell import Features, State


class PerFrame(nn.Module):
    """The static decoder's `dec` of each frame, and a classifier on it."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.classifier = nn.Conv2d(channels, classes, 3, padding=1)

    def init_state(self, first: Features) -> State:
        """Nothing is remembered of the first frame."""
        return ()

    def step(self, features: Features, state: State) -> tuple[Tensor, State]:
        """`dec` (N, channels, h, w) of this frame, which must be among its features, and the empty memory."""
        return features["dec"], state
