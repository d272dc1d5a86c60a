"""The data sets by name."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cache.datasets.camvid import CamVid
from cache.datasets.cityscapes import Cityscapes
from cache.datasets.clips import Dataset
from cache.datasets.folder import Folder
from cache.datasets.shapes import Shapes
from cache.errors import DataError

ON_DISK: Final[dict[str, Callable[[Path], Dataset]]] = {
    "camvid": CamVid,
    "cityscapes": Cityscapes,
    "folder": Folder,
}
MADE_UP: Final[dict[str, Callable[[], Dataset]]] = {"shapes": Shapes}


def open_dataset(name: str, root: Path | None, window: int = 2) -> Dataset:
    """Open a data set by name.

    Args:
        name: key of `ON_DISK` or `MADE_UP`.
        root: its folder, or a folder that holds it under its name; None for $DYNCELL_DATA. Made-up data needs none.
        window: number of frames that a window shall have; of Cityscapes' snippets no more than these are listed.

    Raises:
        DataError: no such data set, no folder given, or the data is not there.
    """
    if name in MADE_UP:
        return MADE_UP[name]()
    if name not in ON_DISK:
        raise DataError(f"there is no data set {name!r}; choose one of {', '.join(sorted(ON_DISK | MADE_UP))}")
    if root is None:
        if not os.environ.get("DYNCELL_DATA"):
            raise DataError(f"the data set {name} needs its folder; name it with --data-root or $DYNCELL_DATA")
        root = Path(os.environ["DYNCELL_DATA"])
    inside = root / name
    dataset = ON_DISK[name](inside if inside.is_dir() else root)
    return dataset.with_past(window - 1) if isinstance(dataset, Cityscapes) else dataset
