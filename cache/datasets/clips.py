"""Dataset: frames in time order and their labels, as the rest of the program sees them; windows never cross a jump.

A `Frame` is a name, not pixels; a `Dataset` turns it into an image and a label. A sequence is all that was filmed under
one name; a clip is a stretch of it without a jump, and windows and the meta split are made of clips. No file formats
here, and no torch.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from cache.errors import DataError

Split = Literal["train", "val", "test"]
SPLITS: Final[tuple[Split, ...]] = get_args(Split)
VOID: Final = 255
"""The label of pixels that count neither in a loss nor in a score."""
LIMIT: Final = 2000
"""Frames of a video without labels that are used at most: their features take about 2 GB at 360x480."""
GAP_TOLERANCE: Final = 0.1  # of the usual gap: CamVid has a 29 and a 31 beside its 30s; its jumps are 270 and 1950
MINIMUM_BLOCK: Final = 3  # frames in a validation block, so that it holds a window of the paper's length


@dataclass(frozen=True)
class Frame:
    """One frame of one sequence; two frames of a data set never share a name."""

    name: str
    sequence: str
    number: int
    """Position in the sequence, counted in frames of the video."""
    labelled: bool = True
    still: "Frame | None" = None
    """Frame that it was made from by moving it; None for one that was filmed."""


@dataclass(frozen=True)
class Window:
    """Consecutive frames of one clip, as positions in the list they were made from."""

    positions: tuple[int, ...]
    gap: int
    """Gap from one position to the next, in frames of the video (rounded mean; 0 for a window of one frame)."""


class Dataset(Protocol):
    """Labelled clips. All frames of all splits have one size."""

    @property
    def name(self) -> str: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def colours(self) -> tuple[tuple[int, int, int], ...]:
        """One RGB colour a class, each channel 0 to 255."""

    @property
    def size(self) -> tuple[int, int]:
        """Native height and width in pixels."""

    def frames(self, split: Split) -> tuple[Frame, ...]:
        """List all frames of a split, sequence after sequence, in time order within each.

        Raises:
            DataError: the split is absent, or an image and a label do not match up.
        """

    def image(self, frame: Frame) -> NDArray[np.uint8]:
        """Read the RGB pixels (H, W, 3) of a frame.

        Raises:
            DataError: the image cannot be read or has another size.
        """

    def label(self, frame: Frame) -> NDArray[np.uint8]:
        """Read the class of each pixel (H, W), `VOID` where there is none.

        Raises:
            DataError: the frame has no label, or it cannot be read, has another size, or holds an unknown value.
        """

    def fingerprint(self, split: Split) -> str:
        """Return a hex digest that changes when a frame is added, removed, renamed or replaced."""


def clips(frames: Sequence[Frame]) -> tuple[range, ...]:
    """Cut `frames` where the sequence changes or jumps; ranges of positions that together cover the list.

    A jump is a gap that differs by more than `GAP_TOLERANCE` from its sequence's usual gap: the most common one, and
    the smallest of those if several are.
    """
    gaps: dict[str, Counter[int]] = {}
    for before, after in pairwise(frames):
        if before.sequence == after.sequence:
            gaps.setdefault(after.sequence, Counter())[after.number - before.number] += 1
    usual = {sequence: min(count, key=lambda gap: (-count[gap], gap)) for sequence, count in gaps.items()}

    def breaks(before: Frame, after: Frame) -> bool:
        if before.sequence != after.sequence:
            return True
        expected = usual[after.sequence]
        return abs(after.number - before.number - expected) > GAP_TOLERANCE * expected

    cuts = [i for i, (before, after) in enumerate(pairwise(frames), start=1) if breaks(before, after)]
    edges = [0, *cuts, len(frames)]
    return tuple(range(start, stop) for start, stop in pairwise(edges) if start < stop)


def windows(
    frames: Sequence[Frame],
    length: int,
    within: Collection[int] | None = None,
    *,
    step: int = 1,
    unlabelled: bool = False,
) -> tuple[Window, ...]:
    """List every window of `length` frames of one clip, evenly apart, whose last frame is labelled.

    A clip that has no such window gives its longest one, if that has two frames: the frames before the last labelled
    one. So short clips are seen with as much of a past as they have.

    Args:
        frames: in the order of `Dataset.frames`; positions in a window refer to this list.
        length: frames in a window, 1 or more. A window of 1 is a single labelled frame.
        within: only windows that lie wholly in these positions (one side of `meta_split`); None for all.
        step: places in the list from one frame of a window to the next.
        unlabelled: list the windows whose last frame has no label, too.
    """
    if min(length, step) < 1:
        raise ValueError(f"length and step are 1 or more, but length is {length} and step {step}")
    found = []
    for piece in stretches(frames, within):
        ends = [position for position in piece if unlabelled or frames[position].labelled]
        starts = [max(end - (length - 1) * step, piece.start + (end - piece.start) % step) for end in ends]
        longest = [range(start, end + 1, step) for start, end in zip(starts, ends, strict=True)]
        whole = [window for window in longest if len(window) == length]
        shorter = [window for window in longest[-1:] if len(window) >= 2]
        for window in whole or shorter:
            span = frames[window[-1]].number - frames[window[0]].number
            found.append(Window(tuple(window), round(span / max(len(window) - 1, 1))))
    return tuple(found)


def stretches(frames: Sequence[Frame], within: Collection[int] | None = None) -> list[range]:
    """Find the longest stretches of positions, all of one clip and all of them in `within`; None is the whole list."""
    allowed = range(len(frames)) if within is None else frozenset(within)
    pieces = []
    for each in clips(frames):
        outside = [each.start - 1, *(i for i in each if i not in allowed), each.stop]
        pieces += [range(before + 1, after) for before, after in pairwise(outside) if after - before > 1]
    return pieces


def meta_split(
    frames: Sequence[Frame], share: float, filmed: Sequence[Frame] | None = None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Split a training list into meta-train and meta-val positions by contiguous blocks, so that windows cannot leak.

    Of each clip long enough for a block of `MINIMUM_BLOCK` frames, meta-val gets the last `share`, so every long
    clip is on both sides. Of shorter clips it gets whole ones, spread evenly over the list. Where that gives
    nothing, it gets one smallest block from the end of the longest clip. What was made of a still goes where that is.

    Args:
        frames: in the order of `Dataset.frames`.
        share: part of the filmed frames that meta-val should get, between 0 and 1.
        filmed: training list that is divided, where `frames` may hold what was made of its stills and not all of it;
            None takes what `frames` are or are made of.

    Raises:
        DataError: no clip is long enough to be divided.
    """
    if not 0 < share < 1:
        raise ValueError(f"share must lie in (0, 1), but is {share}")
    divided = _filmed(frames if filmed is None else filmed)
    held = {divided[position] for position in _held_back(divided, share)}
    val = tuple(i for i, frame in enumerate(frames) if (frame.still or frame) in held)
    chosen = frozenset(val)
    return tuple(i for i in range(len(frames)) if i not in chosen), val


def _filmed(frames: Sequence[Frame]) -> list[Frame]:
    """List the frames that some are, or are made of, each once and in their order."""
    return list(dict.fromkeys(frame.still or frame for frame in frames))


def _held_back(frames: Sequence[Frame], share: float) -> list[int]:
    pieces = clips(frames)
    held: list[int] = []
    short_seen = short_held = 0
    for clip in pieces:
        block = round(share * len(clip))
        if block < MINIMUM_BLOCK:
            short_seen += len(clip)
            block = len(clip) if share * short_seen - short_held >= len(clip) / 2 else 0
            short_held += block
        held.extend(clip[len(clip) - block :])
    if not held:
        longest = max(pieces, key=len, default=range(0))
        if len(longest) < 2 * MINIMUM_BLOCK:
            raise DataError(
                f"{len(frames)} training frames in {len(pieces)} clips cannot be split into meta-train and meta-val: "
                f"the longest clip without a jump has {len(longest)} frames and {2 * MINIMUM_BLOCK} are needed; "
                "add frames or longer clips"
            )
        held.extend(longest[-MINIMUM_BLOCK:])
    return held


def labelled_clips(frames: Sequence[Frame], within: Collection[int] | None = None) -> tuple[range, ...]:
    """Cut the `stretches` of `within`, each up to its last labelled frame; those without one are left out."""
    ends = ((each, [place for place in each if frames[place].labelled]) for each in stretches(frames, within))
    return tuple(range(each.start, labelled[-1] + 1) for each, labelled in ends if labelled)


def scored_places(clips: Iterable[Sequence[int]], frames: Sequence[Frame]) -> tuple[int, ...]:
    """List the positions of the labelled frames that have a past: all but the first of each clip."""
    return tuple(place for clip in clips for place in clip[1:] if frames[place].labelled)


def thin_labels(frames: Sequence[Frame], every: int) -> tuple[Frame, ...]:
    """Take labels away from all frames but those at every `every`-th place of their clip, and what is made of them."""
    filmed = _filmed(frames)
    places = (place for clip in clips(filmed) for place in range(1, len(clip) + 1))
    thinned = {frame for frame, place in zip(filmed, places, strict=True) if place % every}
    return tuple(replace(frame, labelled=frame.labelled and (frame.still or frame) not in thinned) for frame in frames)
