"""Moving stills: a short clip made of every labelled training frame, by a camera that moves over it.

Labelled frames are often a second apart, and a cell that has seen no others does not know what its memory is worth a
fifteenth of a second later. Video object segmentation starts from moved stills for want of video, too (Khoreva et al.,
arXiv:1703.09554; Oh et al., STM, ICCV 2019, section 4).
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cache.datasets.clips import Dataset, Frame, Split

LATTICE: Final = 3, 4  # cells down and across, each with a motion of its own, as near and far things have
SMALLEST: Final = 0.8  # side of the view in the clip's last frame, as a share of the picture's
ZOOM: Final = -0.01, 0.03  # what the view grows by for each frame back in time: cameras go forwards more than back
DRIFT: Final = 0.006, 0.015  # largest motion of the view down and across, in views a frame
PARALLAX: Final = 0.006  # largest motion of a corner of the lattice beside that, in views a frame
SPEED: Final = 0.2, 2.5  # factor of all motion in a clip: things stand still, and cars turn
VERSION: Final = 2  # of all of the above: other clips are other data

Vertices = NDArray[np.float64]


@dataclass(frozen=True)
class MovingStills:
    """A data set with a clip of every labelled training frame, after its training list or in its place.

    Clips differ from frame to frame and not from time to time. Labels move with their pixels. All else is the data
    set's own.
    """

    filmed: Dataset
    length: int
    """Frames in a clip."""
    beside: bool
    """Keep what was filmed; else the training list holds the clips alone."""

    @property
    def name(self) -> str:
        return self.filmed.name

    @property
    def classes(self) -> tuple[str, ...]:
        return self.filmed.classes

    @property
    def colours(self) -> tuple[tuple[int, int, int], ...]:
        return self.filmed.colours

    @property
    def size(self) -> tuple[int, int]:
        return self.filmed.size

    def frames(self, split: Split) -> tuple[Frame, ...]:
        """List the frames of the data set, in training those of the clips after them or alone. Raises DataError."""
        filmed = self.filmed.frames(split)
        if split != "train":
            return filmed
        stills = (frame for frame in filmed if frame.labelled)
        made = (_moved(still, place) for still in stills for place in range(self.length))
        return (*filmed, *made) if self.beside else tuple(made)

    def image(self, frame: Frame) -> NDArray[np.uint8]:
        """Read RGB pixels (H, W, 3), of a clip's frame bilinear. Raises DataError as the data set does."""
        if frame.still is None:
            return self.filmed.image(frame)
        return self._seen(frame, self._image_of(frame.still), Image.Resampling.BILINEAR)

    def label(self, frame: Frame) -> NDArray[np.uint8]:
        """Read classes (H, W), of a clip's frame those of the nearest pixels. Raises DataError as the data set does."""
        if frame.still is None:
            return self.filmed.label(frame)
        return self._seen(frame, self._label_of(frame.still), Image.Resampling.NEAREST)

    def fingerprint(self, split: Split) -> str:
        """Return a digest that changes with the data set's, and of training with how clips are made."""
        filmed = self.filmed.fingerprint(split)
        if split != "train":
            return filmed
        made = f"{filmed} moving stills {VERSION}, {self.length} frames, {'beside' if self.beside else 'instead'}"
        return hashlib.sha256(made.encode()).hexdigest()

    @cached_property
    def _image_of(self) -> Callable[[Frame], NDArray[np.uint8]]:
        """Read a picture once for the frames of its clip that are asked for one after the other."""
        return lru_cache(maxsize=1)(self.filmed.image)

    @cached_property
    def _label_of(self) -> Callable[[Frame], NDArray[np.uint8]]:
        """Read a label as `_image_of` does a picture."""
        return lru_cache(maxsize=1)(self.filmed.label)

    def _seen(self, frame: Frame, still: NDArray[np.uint8], resampling: Image.Resampling) -> NDArray[np.uint8]:
        """Draw what a clip's frame shows of its still."""
        assert frame.still is not None
        return seen(still, vertices(frame.still.name, self.length - 1 - frame.number), resampling)


def _moved(still: Frame, place: int) -> Frame:
    return Frame(f"{still.name}+{place}", f"{still.name}+", place, still=still)


def vertices(still: str, age: int) -> Vertices:
    """Say where a lattice over a clip's frame lies on the picture that the clip is made of.

    Args:
        still: name of the picture; its hash is the seed of the motion.
        age: frames from this one to the clip's last.

    Returns:
        Down and across, (rows, columns, 2), as shares of the picture's sides, inside [0, 1].
    """
    random = np.random.default_rng(int.from_bytes(hashlib.sha256(still.encode()).digest()[:8]))
    side = random.uniform(SMALLEST, 1)
    corner = random.uniform(0, 1 - side, 2)
    time = age * random.uniform(*SPEED)
    zoom = random.uniform(*ZOOM)
    drift = random.uniform(-1, 1, 2) * DRIFT
    rows, columns = (each + 1 for each in LATTICE)
    parallax = random.uniform(-PARALLAX, PARALLAX, (rows, columns, 2))
    grid = np.stack(np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing="ij"), axis=-1)
    view = 0.5 + (grid - 0.5) * (1 + zoom * time) + (drift + parallax) * time
    return np.clip(corner + side * view, 0, 1)


def seen(pixels: NDArray[np.uint8], lattice: Vertices, resampling: Image.Resampling) -> NDArray[np.uint8]:
    """Draw what a view shows of a picture (H, W) or (H, W, 3), at the picture's own size.

    Args:
        pixels: of the picture.
        lattice: where the view's lattice lies on it, as `vertices` says; between its corners, places are bilinear.
        resampling: nearest or bilinear.
    """
    height, width = pixels.shape[:2]
    rows, columns = (each - 1 for each in lattice.shape[:2])
    down = np.linspace(0, height, rows + 1).round().astype(int).tolist()
    across = np.linspace(0, width, columns + 1).round().astype(int).tolist()
    source = lattice[..., ::-1] * (width, height)
    mesh = []
    for i, j in np.ndindex(rows, columns):
        corners = source[[i, i + 1, i + 1, i], [j, j, j + 1, j + 1]]  # as Pillow goes round: down the left side first
        mesh.append(((across[j], down[i], across[j + 1], down[i + 1]), tuple(corners.flatten().tolist())))
    image = Image.fromarray(pixels)
    moved = image.transform((width, height), Image.Transform.MESH, mesh, resampling)
    return np.asarray(moved)
