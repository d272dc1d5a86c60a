"""Cuts: frames that show another scene than the one before, found by how alike two tiny grey pictures are.

After a cut the memory is of no use, and a key frame is due. One too many costs time and harms nothing.
"""

from collections import deque
from statistics import median
from typing import Final

from torch import Tensor
from torch.nn import functional

TINY: Final = (24, 32)  # height and width of the pictures that are compared
RECENT: Final = 15  # latest distances, whose median says how much this video moves
FLOOR: Final = 0.25  # distance up to which there is no cut, however still the video was; CamVid's film stays below 0.05
FACTOR: Final = 4.0  # multiple of that median up to which there is none either
FLAT: Final = 1e-3  # deviation of a picture's pixels, in those of ImageNet, below which it shows nothing


class CutDetector:
    """Finds the cuts of one video, frame after frame.

    The distance of two frames is 1 - r, r being the correlation of their grey pictures, so that a change of brightness
    or contrast, such as flicker, is none. Where the camera pans, distances are large, and soon their median is, too.
    """

    def __init__(self) -> None:
        self._last: Tensor | None = None
        self._distances: deque[float] = deque(maxlen=RECENT)

    def __call__(self, image: Tensor) -> bool:
        """Tell whether the next frame, normalised (1, 3, H, W), comes after a cut; the first one does not."""
        last, self._last = self._last, tiny_picture(image)
        if last is None:
            return False
        distance = float((last - self._last).square().mean()) / 2
        usual = median(self._distances) if self._distances else 0.0
        self._distances.append(distance)
        return distance > max(FLOOR, FACTOR * usual)


def tiny_picture(image: Tensor) -> Tensor:
    """Reduce a frame (1, 3, H, W) to a grey picture of mean 0 and deviation 1; one that shows nothing is 0."""
    grey = functional.adaptive_avg_pool2d(image.float().mean(1), TINY)
    grey = grey - grey.mean()
    deviation = grey.square().mean().sqrt()
    return grey / deviation if deviation > FLAT else grey * 0
