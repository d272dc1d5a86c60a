"""A look at labels and windows before anything is trained on them, and what the labels weigh."""

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from cache.datasets.catalog import BY_NETWORK
from cache.datasets.census import Census, take_census
from cache.datasets.clips import Dataset, Split, Window
from cache.datasets.findings import absent_classes, require_classes, suspicions, window_lengths
from cache.errors import DataError
from nas.training.losses import class_weights

log = logging.getLogger(__name__)

USED: Final[tuple[Split, ...]] = ("train", "val")
FEW: Final = 8  # windows; a batch of them at most, the same one at every step


def check_labels(dataset: Dataset, cache_dir: Path, splits: Sequence[Split] = USED) -> Mapping[Split, Census]:
    """Count the labels of splits, say what is unusual about them, and refuse what nothing can be learnt from.

    Counts are remembered in `cache_dir`, so that only the first look at some files takes time.

    Raises:
        DataError: a split is absent, a mask cannot be read or holds what it must not, or a split has a single class.
        OSError: the folder cannot be written or the disk is full.
    """
    censuses = {split: take_census(dataset, split, cache_dir / "census") for split in splits}
    for census in censuses.values():
        log.info("%s%s", census, ", labels by the network" if dataset.name == BY_NETWORK else "")
        if dataset.name == BY_NETWORK and (census.counts() > 0).sum() < 2:
            raise DataError(
                f"the network gives every pixel of the {census.split} part of the video one class, so that nothing "
                "could disagree with it; see with nas.segment whether it is a network for such pictures"
            )
        require_classes(census, dataset.classes)
    for finding in [] if dataset.name == BY_NETWORK else suspicions(list(censuses.values()), dataset.classes):
        log.warning("%s", finding)
    return censuses


def label_weights(census: Census, places: Collection[int]) -> Tensor:
    """Weigh classes, (classes,), as the static network's training does, by their pixels in the labels at places."""
    return class_weights(torch.from_numpy(census.counts(places)))


def check_windows(
    found: Sequence[Window], length: int, part: str, dataset: Dataset, census: Census | None = None
) -> None:
    """Say what windows there are, and refuse those that nothing can be learnt from.

    Args:
        found: windows of a part of a split.
        length: frames that a window should have.
        part: words for the part, such as `meta-train part`.
        dataset: clips that it is of.
        census: counts of the split; given, the last frames of the windows must hold two classes.

    Raises:
        DataError: there is no window, or their labels are void or of a single class.
    """
    if not found:
        raise DataError(
            f"the {part} of {dataset.name} has no window: no labelled frame of it has a frame before it in its clip, "
            "and only the last frame of a window needs a label; label later frames of the clips, give longer clips, "
            "or, in a search, hold out another part by --meta-val"
        )
    gaps = sorted({window.gap for window in found})
    log.info("%s: %s, %s video frames apart", part, window_lengths(found, length), gaps)
    if len(found) < FEW:
        log.warning("%s: so few windows are learnt by heart; give longer clips, or more of them", part)
    short = sum(len(window.positions) < length for window in found)
    if 2 * short > len(found):
        log.warning(
            "%s: %d of %d windows are shorter than %d frames, as their clips are: memories are seldom full in them; "
            "longer clips would fill them, or a space of shorter memories",
            *(part, short, len(found), length),
        )
    if census is not None:
        last = [window.positions[-1] for window in found]
        require_classes(census, dataset.classes, last, f"the {part}")
        if missing := absent_classes(census, dataset.classes, last):
            log.warning("%s: no window ends in a frame with %s, which therefore does not count there", part, missing)
