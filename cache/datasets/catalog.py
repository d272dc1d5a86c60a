"""The data sets by name."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cache.datasets.camvid import CamVid
from cache.datasets.cityscapes import Cityscapes
from cache.datasets.clips import LIMIT, Dataset
from cache.datasets.folder import Folder
from cache.datasets.shapes import Shapes
from cache.datasets.video import Video
from cache.errors import DataError

ON_DISK: Final[dict[str, Callable[[Path], Dataset]]] = {
    "camvid": CamVid,
    "cityscapes": Cityscapes,
    "folder": Folder,
}
BY_NETWORK: Final = "video"
"""The data set without masks, whose labels are those of a network: scores on it are agreement."""
MADE_UP: Final[dict[str, Callable[[], Dataset]]] = {"shapes": Shapes}


def open_dataset(
    name: str, root: Path | None, window: int = 2, *, network: Path | None = None, limit: int = LIMIT
) -> Dataset:
    """Open a data set by name.

    Args:
        name: key of `ON_DISK` or `MADE_UP`.
        root: its folder, or a folder that holds it under its name; None for $DYNCELL_DATA. Made-up data needs none.
        window: number of frames that a window shall have; of Cityscapes' snippets no more than these are listed.
        network: checkpoint whose labels stand in for the masks of a video; other data sets have their own.
        limit: number of frames of a video that are used at most; 0 is all of them.

    Raises:
        DataError: no such data set, no folder given, or the data is not there; or a video has no network.
    """
    if name in MADE_UP:
        return MADE_UP[name]()
    if name not in {*ON_DISK, BY_NETWORK}:
        known = ", ".join(sorted({*ON_DISK, *MADE_UP, BY_NETWORK}))
        raise DataError(f"there is no data set {name!r}; choose one of {known}")
    if root is None:
        if not os.environ.get("DYNCELL_DATA"):
            raise DataError(f"the data set {name} needs its folder; name it with --data-root or $DYNCELL_DATA")
        root = Path(os.environ["DYNCELL_DATA"])
    if name == BY_NETWORK:
        return _video(root, network, limit, window)
    inside = root / name
    dataset = ON_DISK[name](inside if inside.is_dir() else root)
    return dataset.with_past(window - 1) if isinstance(dataset, Cityscapes) else dataset


def _video(root: Path, network: Path | None, limit: int, window: int) -> Video:
    if network is None:
        raise DataError(
            "a video has no masks, and no network is given whose labels stand in for them: a search takes a trained "
            "one by --checkpoint (a network.pt, or one that ships) or one of your own by --network, an evaluation or a "
            "check one by --labelled-by"
        )
    from cache.static.pseudo_labeller import PseudoLabeller  # loads torch, which --help does without

    return Video(root, PseudoLabeller(network), limit, window)
