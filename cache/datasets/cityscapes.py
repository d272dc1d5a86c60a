"""Cityscapes (Cordts et al. 2016) in its official layout: 2048x1024, 19 classes, one labelled frame in each snippet.

    leftImg8bit/<split>/<city>/<city>_<drive>_<number>_leftImg8bit.png    the labelled frames
    gtFine/<split>/<city>/<city>_<drive>_<number>_gtFine_labelIds.png     their labels, as published
    leftImg8bit_sequence/<split>/<city>/...                                   optional: 30 raw frames a snippet

Raw frames before a labelled one become unlabelled frames of the same sequence (the labelled one is number 19 of 0 to
29, so up to 19 of them). Each snippet is a sequence of its own: snippets lie seconds apart. Images may be .jpg.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cache.datasets.clips import SPLITS, VOID, Frame, Split
from cache.datasets.files import FileDataset, FrameFiles
from cache.datasets.listing import IMAGE_SUFFIXES, MASK_SUFFIXES, by_stem, folders
from cache.datasets.masks import MaskCode
from cache.errors import DataError

_CLASSES: Final = {  # name: (labelId, colour), in the order of the train ids
    "road": (7, (128, 64, 128)),
    "sidewalk": (8, (244, 35, 232)),
    "building": (11, (70, 70, 70)),
    "wall": (12, (102, 102, 156)),
    "fence": (13, (190, 153, 153)),
    "pole": (17, (153, 153, 153)),
    "traffic light": (19, (250, 170, 30)),
    "traffic sign": (20, (220, 220, 0)),
    "vegetation": (21, (107, 142, 35)),
    "terrain": (22, (152, 251, 152)),
    "sky": (23, (70, 130, 180)),
    "person": (24, (220, 20, 60)),
    "rider": (25, (255, 0, 0)),
    "car": (26, (0, 0, 142)),
    "truck": (27, (0, 0, 70)),
    "bus": (28, (0, 60, 100)),
    "train": (31, (0, 80, 100)),
    "motorcycle": (32, (0, 0, 230)),
    "bicycle": (33, (119, 11, 32)),
}
_LABEL_IDS: Final = range(34)
_SOURCE: Final = "https://www.cityscapes-dataset.com/downloads/"
_IMAGE: Final = "_leftImg8bit"
_LABEL: Final = "_gtFine_labelIds"
_NAME: Final = re.compile(r"(?P<drive>.+_\d+)_(?P<number>\d+)")


class Cityscapes(FileDataset):
    """Cityscapes, read from `root/leftImg8bit`, `root/gtFine` and, where present, `root/leftImg8bit_sequence`.

    Args:
        root: the folder that holds these.
        before: raw frames to list before each labelled one, as far as they are there without a hole. The default is
            the paper's pair: the labelled frame and the one 1/17 s earlier.

    Raises:
        DataError: `root` holds no split.
    """

    def __init__(self, root: Path, before: int = 1) -> None:
        values = dict.fromkeys(_LABEL_IDS, VOID)
        values |= {label_id: train_id for train_id, (label_id, _) in enumerate(_CLASSES.values())}
        colours = tuple(colour for _, colour in _CLASSES.values())
        code = MaskCode(
            dataset="cityscapes",
            classes=tuple(_CLASSES),
            values=values,
            colours=colours,
            advice=f"use the published *{_LABEL}.png; masks of train ids are not read",
        )
        super().__init__("cityscapes", root, colours, code)
        self.before = before
        if not any(self.has(split) for split in SPLITS):
            raise DataError(
                f"no Cityscapes in {root}: leftImg8bit/train, val and test are all missing; get "
                "leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip (and leftImg8bit_sequence for previous "
                f"frames) from {_SOURCE}, and name the folder that holds leftImg8bit/ and gtFine/ with --data-root or "
                "$DYNCELL_DATA"
            )

    def with_past(self, before: int) -> "Cityscapes":
        """List another number of raw frames before each labelled one."""
        return Cityscapes(self.root, before)

    def has(self, split: Split) -> bool:
        return (self.root / "leftImg8bit" / split).is_dir()

    def _find(self, split: Split) -> Iterator[FrameFiles]:
        images = self._folder("leftImg8bit", split, _IMAGE, IMAGE_SUFFIXES)
        labels = self._folder("gtFine", split, _LABEL, MASK_SUFFIXES)
        alone = sorted(images.keys() ^ labels.keys())
        if alone:
            what, there = ("label", images) if alone[0] in images else ("image", labels)
            raise DataError(
                f"{len(alone)} frames of the {split} split of Cityscapes in {self.root} lack their image or label; "
                f"the first is {there[alone[0]]}, which has no {what}; unpack both archives again"
            )
        raw = self._folder("leftImg8bit_sequence", split, _IMAGE, IMAGE_SUFFIXES)
        for stem, image in images.items():
            match = _NAME.fullmatch(stem)
            if match is None:
                raise DataError(f"cannot read city, drive and number from {image}; keep the published names")
            number, width = int(match["number"]), len(match["number"])
            yield FrameFiles(Frame(stem, stem, number), image, labels[stem])
            for earlier in range(number - 1, number - 1 - self.before, -1):
                name = f"{match['drive']}_{earlier:0{width}d}"
                if name not in raw:
                    break
                yield FrameFiles(Frame(name, stem, earlier, labelled=False), raw[name], None)

    def _folder(self, kind: str, split: Split, ending: str, suffixes: frozenset[str]) -> dict[str, Path]:
        """List the files of all cities by name without `ending`; none where the optional sequence is not there."""
        folder = self.root / kind / split
        if not folder.is_dir():
            if kind == "leftImg8bit_sequence":
                return {}
            raise DataError(f"Cityscapes in {self.root} has no {split} split: {folder} is missing; see {_SOURCE}")
        files = [
            item
            for city in folders(folder)
            for item in by_stem(city, suffixes, frozenset({".json"})).items()
            if item[0].endswith(ending)
        ]
        return {stem.removesuffix(ending): path for stem, path in files}
