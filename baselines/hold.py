"""Answer of the key frame, held until the next: later frames cost a classifier, so this is what a cell must beat.

The trivial baseline of video segmentation with key frames (Clockwork convnets, Shelhamer et al., arXiv:1608.03609).
"""

from torch import Tensor, nn

from searchspace.modules.cell import Features, State


class Hold(nn.Module):
    """The static decoder's `dec` of the latest key frame, for every frame after it. Nothing is learnt."""

    genotype = None
    needs: frozenset[str] = frozenset()
    slots = 1

    def __init__(self, classifier: nn.Conv2d) -> None:
        """Take the static network's own classifier."""
        super().__init__()
        self.classifier = classifier

    def init_state(self, first: Features) -> State:
        """Remember the `dec` of a key frame."""
        return ({"dec": first["dec"]},)

    def step(self, features: Features, state: State, present: Tensor | None = None) -> tuple[Tensor, State]:
        """Return the `dec` (N, channels, h, w) that is remembered, and go on remembering it."""
        return state[-1]["dec"], state
