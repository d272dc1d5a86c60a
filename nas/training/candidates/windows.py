"""Windows of a training list that candidates are trained on, and clips of it that they are scored on.

Windows and clips are tuples of positions in the list, in time order. They never cross from meta-train to meta-val.
"""

import logging

from cache.datasets.census import Census
from cache.datasets.clips import Dataset, labelled_clips, meta_split, scored_places, windows
from cache.datasets.findings import require_classes
from nas.settings.automatic import require_number
from nas.settings.config import SearchConfig
from nas.training.labels import check_windows

log = logging.getLogger(__name__)

Places = tuple[tuple[int, ...], ...]


def meta_windows(dataset: Dataset, filmed: Dataset, census: Census, config: SearchConfig) -> tuple[Places, Places]:
    """Cut a list into windows to train candidates on and clips to score them on.

    Where candidates imitate, every frame teaches, and windows may end anywhere; else they end in a labelled frame.

    Args:
        dataset: clips that the list is of.
        filmed: data whose training list is divided, the stills among it; what is made of a still goes where that is.
        census: the list and what its labels hold.
        config: settings of the search.

    Raises:
        DataError: one side has nothing, or nothing but a single class.
    """
    frames, data, imitates = census.frames, config.data, config.candidate.imitates
    train, val = meta_split(frames, data.meta_val, filmed.frames("train"))
    length = require_number(data.window)
    found = [window for gap in data.gaps for window in windows(frames, length, train, step=gap, unlabelled=imitates)]
    check_windows(found, length, "meta-train part", dataset, census)
    clips = tuple(tuple(clip) for clip in labelled_clips(frames, val) if len(clip) > 1)
    scored = scored_places(clips, frames)
    log.info("meta-val: %d clips, streamed, with %d labelled frames after their first", len(clips), len(scored))
    require_classes(census, dataset.classes, scored, "the meta-val part")
    return tuple(window.positions for window in found), clips
