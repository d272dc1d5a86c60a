"""Findings on labels and windows: faults and suspicions in words, with the way out."""

from collections import Counter
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Final

from cache.datasets.census import Census
from cache.datasets.clips import VOID, Frame, Split, Window, clips, scored_places
from cache.errors import DataError

MOSTLY: Final = 0.5  # share of the labelled pixels
NAMED: Final = 5  # classes that a message names


def require_classes(
    census: Census, classes: Sequence[str], positions: Collection[int] | None = None, part: str | None = None
) -> None:
    """Refuse labels from which nothing can be learnt or scored.

    Args:
        census: of a split.
        classes: their names.
        positions: frames of it that count; None for all.
        part: what those are called; by default the split.

    Raises:
        DataError: fewer than two classes have a pixel.
    """
    counts, void = census.counts(positions), census.void(positions)
    present = [name for name, count in zip(classes, counts, strict=True) if count]
    if len(present) > 1:
        return
    where = part or f"the {census.split} split"
    total = counts.sum() + void
    share = f"{100 * void / total:.0f} % of its pixels are void" if total else "no frame of it is labelled"
    if present:
        held = f"one class alone, {present[0]}, so that every network would be right everywhere"
    else:
        held = "no class at all"
    raise DataError(f"{where} holds {held} ({share}); {_way_out(classes, void, part)}")


def require_scored(clips: Sequence[range], frames: Sequence[Frame], name: str, split: Split) -> tuple[int, ...]:
    """List the positions in a split of the labelled frames that have a past.

    Args:
        clips: clips of the split that are streamed.
        frames: frames of the split.
        name: name of the data set.
        split: name of the split.

    Raises:
        DataError: there is none.
    """
    scored = scored_places(clips, frames)
    if not scored:
        raise DataError(
            f"the {split} list of {name} has no two consecutive frames of which the second is labelled, so there is "
            "nothing to remember; give longer clips"
        )
    return scored


def suspicions(censuses: Sequence[Census], classes: Sequence[str]) -> list[str]:
    """List what is unusual about the labels of the splits that are used together, train first."""
    found = []
    for census in censuses:
        counts, void = census.counts(), census.void()
        if missing := [name for name, count in zip(classes, counts, strict=True) if not count]:
            effect = "no network can learn it" if census.split == "train" else "it does not count in scores"
            found.append(
                f"{_names(missing)} {'does' if len(missing) == 1 else 'do'} not occur in the {census.split} split: "
                f"{effect}; label some there, or see if a value of the masks means something else"
            )
        if counts.sum() and void > MOSTLY * (counts.sum() + void):
            found.append(
                f"{100 * void / (counts.sum() + void):.0f} % of the labelled pixels of the {census.split} split are "
                "void and count nowhere; see if the value of void is meant for a class"
            )
        if census.turned:
            found.append(
                f"{census.turned} images of the {census.split} split are turned upright by an EXIF tag that their "
                "masks do not have: see in an overlay that both show the same way up; else save images without the tag"
            )
        if jitter := _jitter(census.frames):
            found.append(f"{census.split} split: {jitter}")
    return found


def absent_classes(census: Census, classes: Sequence[str], positions: Collection[int]) -> str:
    """Name the classes of a split that do not occur in some of its frames; nothing where all do."""
    here, anywhere = census.counts(positions), census.counts()
    return _names([name for name, some, all_ in zip(classes, here, anywhere, strict=True) if all_ and not some])


def window_lengths(found: Sequence[Window], length: int) -> str:
    """Say how many windows there are of which lengths: "12 windows of 5 frames, 3 of 2"."""
    counted = Counter(len(window.positions) for window in found)
    parts = [f"{counted[each]} of {each}" for each in sorted(counted, reverse=True)]
    if not parts:
        return f"no window of {length} frames"
    first, _, rest = parts[0].partition(" of ")
    return ", ".join([f"{first} window{'s' if first != '1' else ''} of {rest} frames", *parts[1:]])


def _way_out(classes: Sequence[str], void: int, part: str | None) -> str:
    if part is not None:
        return "label more of its frames, or take another part of the training list by another --meta-val"
    if void:
        values = [0, VOID] if len(classes) == 2 else [round(VOID * n / (len(classes) - 1)) for n in range(len(classes))]
        return (
            f"where masks hold {', '.join(map(str, values))} and {VOID} stands for {classes[-1]} and not for void, "
            f"write 'values: {values}' into dataset.yaml; or save masks with values 0 to {len(classes) - 1}"
        )
    return "label the others, or see which values the masks hold"


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:NAMED])
    return f"{shown} and {len(names) - NAMED} more classes" if len(names) > NAMED else shown


def _jitter(frames: Sequence[Frame]) -> str | None:
    """Say so if sequences are cut into many clips by small differences between gaps."""
    gaps = [b.number - a.number for a, b in pairwise(frames) if a.sequence == b.sequence]
    sequences = len({frame.sequence for frame in frames})
    pieces = len(clips(frames))
    if not gaps or pieces - sequences <= max(1, len(gaps) // 10):
        return None
    usual = Counter(gaps).most_common(1)[0][0]
    return (
        f"{sequences} sequences fall into {pieces} clips, as their frames are {min(gaps)} to {max(gaps)} apart (most "
        f"often {usual}) and a clip has no jump; where numbers only jitter, number frames 1, 2, 3, or name them by time"
    )
