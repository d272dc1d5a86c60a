"""What candidates are shown of a training list: windows to train on, clips to be scored on, and weights of the classes.

Windows and clips are tuples of positions in the list, in time order. They never cross from meta-train to meta-val.
"""

import logging
from collections.abc import Collection, Sequence

import torch

from cache.datasets.census import Census
from cache.datasets.clips import Dataset, Frame, meta_split, stretches, windows
from cache.datasets.findings import require_classes
from nas.settings.automatic import require_number
from nas.settings.config import SearchConfig
from nas.training.labels import check_windows
from nas.training.losses import class_weights

log = logging.getLogger(__name__)

Places = tuple[tuple[int, ...], ...]


def meta_windows(dataset: Dataset, census: Census, config: SearchConfig) -> tuple[Places, Places]:
    """Cut a list into windows to train candidates on and clips to score them on.

    Where candidates imitate, every frame teaches, and windows may end anywhere; else they end in a labelled frame.

    Args:
        dataset: clips that the list is of.
        census: the list and what its labels hold.
        config: settings of the search.

    Raises:
        DataError: one side has nothing, or nothing but a single class.
    """
    frames, data, imitates = census.frames, config.data, config.candidate.imitates
    train, val = meta_split(frames, data.meta_val)
    length = require_number(data.window)
    found = [window for gap in data.gaps for window in windows(frames, length, train, step=gap, unlabelled=imitates)]
    check_windows(found, length, "meta-train", dataset, census)
    clips = scored_clips(frames, val)
    scored = scored_places(clips, frames)
    log.info("meta-val: %d clips, streamed, with %d labelled frames after their first", len(clips), len(scored))
    require_classes(census, dataset.classes, scored, "the meta-val part")
    return tuple(window.positions for window in found), clips


def scored_clips(frames: Sequence[Frame], within: Collection[int]) -> Places:
    """List the positions of each stretch of `within` up to its last labelled frame, if that is not its first."""
    ends = ((each, [place for place in each if frames[place].labelled]) for each in stretches(frames, within))
    found = [tuple(range(each.start, labelled[-1] + 1)) for each, labelled in ends if labelled]
    return tuple(places for places in found if len(places) > 1)


def scored_places(clips: Places, frames: Sequence[Frame]) -> list[int]:
    """List the positions of the labelled frames that are scored: all but the first of each clip."""
    return [place for clip in clips for place in clip[1:] if frames[place].labelled]


def label_weights(census: Census, windows: Places) -> tuple[float, ...]:
    """Weigh classes as the static network's training does, by their pixels in the frames of windows."""
    counts = census.counts([place for window in windows for place in window])
    return tuple(class_weights(torch.from_numpy(counts)).tolist())
