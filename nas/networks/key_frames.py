"""Key frames: on which frames of a clip the whole static network runs, and a stream that keeps to it."""

from torch import Tensor

from nas.networks.video_network import VideoNetwork
from searchspace.modules.cell import State


def is_key_frame(place: int, refresh: int) -> bool:
    """Tell whether the whole static network runs on a frame of a clip.

    Args:
        place: of the frame, the first being 0.
        refresh: frames from one key frame to the next; 0 has none after the first.
    """
    return place % refresh == 0 if refresh else place == 0


class Stream:
    """A run of a network over one clip, or over N side by side, and what it keeps between two frames."""

    def __init__(self, network: VideoNetwork, refresh: int | None = None) -> None:
        """Stand before the first frame.

        Args:
            network: as it is to run.
            refresh: frames from one key frame to the next; None for the network's own.
        """
        self._network, self._place = network, 0
        self._refresh = network.refresh if refresh is None else refresh
        self._state: State = ()

    def __call__(self, images: Tensor) -> Tensor:
        """Segment the next frame: normalised images (N, 3, H, W) to logits (N, classes, H/8, W/8)."""
        if is_key_frame(self._place, self._refresh):
            logits, self._state = self._network.first(images)
        else:
            logits, self._state = self._network.later(images, self._state)
        self._place += 1
        return logits

    def restart(self) -> None:
        """Make the next frame a key frame, as after a cut, and count from there."""
        self._place = 0
