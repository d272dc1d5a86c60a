"""Made-up clips in which memory helps: textured shapes drift behind fog that is somewhere else in every frame.

Nearly half of each frame is hidden, and a hidden pixel keeps the label of what is behind it. One frame cannot tell what
that is; the frames before it can, because shapes move by few pixels a frame and the fog is drawn anew. Brightness
flickers and there is noise. All moves by whole pixels at constant speed, so labels and flow are exact.

Needs no files: the pixels follow from the seed alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import xxhash
from numpy.typing import NDArray

from cache.datasets.clips import Frame, Split

Grid = NDArray[np.int64]  # a coordinate of each pixel, counted from the centre of a shape
SIZE: Final = (96, 128)
LENGTH: Final = 10  # frames of a clip
CLIPS: Final[dict[Split, int]] = {"train": 24, "val": 6, "test": 6}
RADIUS: Final = (16, 23)  # of a shape, in pixels, lowest and highest
SPEED: Final = 3  # highest, in pixels a frame along each axis; the background moves by 1 at most
FOG_PATCHES: Final = 7
FOG_RADIUS: Final = (14, 26)  # half the height and half the width of a patch, in pixels
_BACKGROUND: Final = (60, 70, 75)
_FOG: Final = (205, 205, 205)
_TONE: Final = 25.0  # a texture's two tones lie this far above and below the class colour
_NOISE: Final = 10.0  # standard deviation
_FLICKER: Final = (0.8, 1.15)


@dataclass(frozen=True)
class _Shape:
    colour: tuple[int, int, int]
    covers: Callable[[Grid, Grid, int], NDArray[np.bool_]]  # (x, y, radius)
    stripe: Callable[[Grid, Grid], Grid]  # (x, y); odd and even stripes have different tones


_SHAPES: Final = {
    "disc": _Shape(
        colour=(200, 65, 60),
        covers=lambda x, y, radius: x**2 + y**2 <= radius**2,
        stripe=lambda x, y: np.hypot(x, y).astype(np.int64) // 4,
    ),
    "square": _Shape(
        colour=(60, 90, 205),
        covers=lambda x, y, radius: np.maximum(abs(x), abs(y)) <= radius * 5 // 6,
        stripe=lambda x, y: x // 6 + y // 6,
    ),
    "triangle": _Shape(
        colour=(70, 175, 80),
        covers=lambda x, y, radius: (abs(y) <= radius) & (2 * abs(x) <= y + radius),
        stripe=lambda x, y: x // 4,
    ),
    "cross": _Shape(
        colour=(215, 185, 55),
        covers=lambda x, y, radius: (
            (np.maximum(abs(x), abs(y)) <= radius) & (np.minimum(abs(x), abs(y)) <= radius * 2 // 5)
        ),
        stripe=lambda x, y: y // 4,
    ),
    "diamond": _Shape(
        colour=(165, 75, 190),
        covers=lambda x, y, radius: abs(x) + abs(y) <= radius * 6 // 5,
        stripe=lambda x, y: (x + y) // 5,
    ),
}


@dataclass(frozen=True)
class _Clip:
    """T rendered frames; layer 0 is the background and each further layer one shape, nearer ones later."""

    images: NDArray[np.uint8]  # (T, H, W, 3)
    hidden: NDArray[np.bool_]  # (T, H, W)
    layers: NDArray[np.int64]  # (T + 1, H, W), one frame more so that the last one has a flow too
    classes: NDArray[np.uint8]  # of each layer
    velocities: NDArray[np.int64]  # of each layer, (dx, dy) in pixels a frame


class Shapes:
    """The `shapes` data set, a `Dataset` with exact flow.

    Args:
        seed: other seeds give other clips; the splits of one seed share none.
    """

    name = "shapes"
    classes = ("background", *_SHAPES)
    colours = (_BACKGROUND, *(shape.colour for shape in _SHAPES.values()))
    size = SIZE

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._clips: dict[str, _Clip] = {}

    def frames(self, split: Split) -> tuple[Frame, ...]:
        sequences = [f"{split}_{clip:02d}" for clip in range(CLIPS[split])]
        return tuple(Frame(f"{sequence}_{t:02d}", sequence, t) for sequence in sequences for t in range(LENGTH))

    def image(self, frame: Frame) -> NDArray[np.uint8]:
        image: NDArray[np.uint8] = self._clip(frame).images[frame.number]
        return image

    def label(self, frame: Frame) -> NDArray[np.uint8]:
        clip = self._clip(frame)
        label: NDArray[np.uint8] = clip.classes[clip.layers[frame.number]]
        return label

    def hidden(self, frame: Frame) -> NDArray[np.bool_]:
        """Return where fog hides the scene, bool (H, W)."""
        hidden: NDArray[np.bool_] = self._clip(frame).hidden[frame.number]
        return hidden

    def flow(self, frame: Frame, offset: int = 1) -> NDArray[np.float32]:
        """Return where each pixel's surface moves until `offset` frames later, (H, W, 2) as (dx, dy) in pixels.

        A negative offset gives where it was in an earlier frame.
        """
        clip = self._clip(frame)
        flow: NDArray[np.float32] = (offset * clip.velocities[clip.layers[frame.number]]).astype(np.float32)
        return flow

    def visible(self, frame: Frame) -> NDArray[np.bool_]:
        """Return whether each pixel's surface is in the next frame, not outside or behind another shape: bool (H, W).

        Fog does not count: labels and flow are of the scene behind it.
        """
        clip = self._clip(frame)
        now, later = clip.layers[frame.number], clip.layers[frame.number + 1]
        y, x = np.indices(SIZE)
        dx, dy = np.moveaxis(clip.velocities[now], -1, 0)
        y, x = y + dy, x + dx
        inside = (y >= 0) & (y < SIZE[0]) & (x >= 0) & (x < SIZE[1])
        visible: NDArray[np.bool_] = inside & (later[np.where(inside, y, 0), np.where(inside, x, 0)] == now)
        return visible

    def fingerprint(self, split: Split) -> str:
        frames = self.frames(split)
        digest = xxhash.xxh3_128(repr((self.name, self.seed, self.classes, frames)).encode())
        digest.update(self.image(frames[0]).tobytes())  # changes with the generator's code
        return digest.hexdigest()

    def _clip(self, frame: Frame) -> _Clip:
        if frame.sequence not in self._clips:
            split, _, clip = frame.sequence.partition("_")
            stream = (self.seed, tuple(map(str, CLIPS)).index(split), int(clip))
            self._clips[frame.sequence] = _render(np.random.default_rng(stream))
        return self._clips[frame.sequence]


def _render(rng: np.random.Generator) -> _Clip:
    """Draw a clip: each shape once, in random order of depth."""
    kinds = list(_SHAPES.values())
    order = rng.permutation(len(kinds))
    velocities = np.vstack([rng.integers(-1, 2, (1, 2)), rng.integers(-SPEED, SPEED + 1, (len(kinds), 2))])
    radii = rng.integers(RADIUS[0], RADIUS[1] + 1, len(kinds))
    middles = _spread(rng, len(kinds))
    waves = rng.uniform(-0.25, 0.25, (3, 2)), rng.uniform(0, 2 * np.pi, 3)
    y, x = np.indices(SIZE)
    layers = np.zeros((LENGTH + 1, *SIZE), np.int64)
    scene = np.empty((LENGTH + 1, *SIZE, 3))
    for t in range(LENGTH + 1):
        dx, dy = velocities[0] * t
        scene[t] = _BACKGROUND + _TONE * _ripples(x - dx, y - dy, *waves)[..., None]
        for layer, kind in enumerate(order, start=1):
            dx, dy = middles[layer - 1] + velocities[layer] * (t - LENGTH // 2)
            shape, u, v = kinds[kind], x - dx, y - dy
            covered = shape.covers(u, v, radii[layer - 1])
            tone = np.where(shape.stripe(u, v) % 2 == 0, _TONE, -_TONE)[..., None]
            scene[t] = np.where(covered[..., None], shape.colour + tone, scene[t])
            layers[t][covered] = layer
    hidden = np.stack([_fog(rng) for _ in range(LENGTH)])
    classes = np.concatenate([[0], order + 1]).astype(np.uint8)
    return _Clip(_film(rng, scene[:LENGTH], hidden), hidden, layers, classes, velocities)


def _spread(rng: np.random.Generator, count: int) -> Grid:
    """Place the centres (x, y) of the shapes half-way through the clip: one to each cell of a 2 x 3 grid, shaken."""
    cells = rng.permutation(6)[:count]
    height, width = SIZE[0] // 2, SIZE[1] // 3
    centres = np.stack([(cells % 3) * width + width // 2, (cells // 3) * height + height // 2], axis=-1)
    return centres + rng.integers(-6, 7, centres.shape)


def _ripples(x: Grid, y: Grid, frequencies: NDArray[np.float64], phases: NDArray[np.float64]) -> NDArray[np.float64]:
    waves = [np.cos(fx * x + fy * y + phase) for (fx, fy), phase in zip(frequencies, phases, strict=True)]
    return sum(waves, np.zeros(SIZE)) / len(waves)


def _fog(rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw where one frame is hidden, (H, W): some elliptic patches."""
    y, x = np.indices(SIZE)
    hidden = np.zeros(SIZE, bool)
    for _ in range(FOG_PATCHES):
        cy, cx = rng.uniform((0, 0), SIZE)
        ry, rx = rng.uniform(*FOG_RADIUS, 2)
        hidden |= ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 <= 1
    return hidden


def _film(rng: np.random.Generator, scene: NDArray[np.float64], hidden: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Film the scene (T, H, W, 3): flicker, fog, noise."""
    flicker = rng.uniform(*_FLICKER, (LENGTH, 1, 1, 1))
    seen = np.where(hidden[..., None], np.array(_FOG, float), scene * flicker)
    return (seen + rng.normal(0, _NOISE, seen.shape)).clip(0, 255).astype(np.uint8)
