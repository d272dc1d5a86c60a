"""Your own clips: a folder of images and index-PNG masks with a small YAML file.

    ROOT/dataset.yaml
    ROOT/<split>/<clip>/images/*.png or *.jpg      split is train, val or test; the name ends in the frame's number
    ROOT/<split>/<clip>/masks/*.png                same name as the image; frames without a mask are unlabelled

`dataset.yaml` holds

    classes: [background, person, dog]             a pixel value 0 in a mask is the first class, and so on
    colours: [[0, 0, 0], [200, 30, 30], ...]       optional, RGB for pictures
    void: 255                                      optional, the pixel value to ignore; 255 is the default

A window's frames after its first must all have masks, so label either whole clips or at least pairs of neighbours.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from cache.datasets.clips import SPLITS, VOID, Frame, Split
from cache.datasets.files import IMAGE_SUFFIXES, MASK_SUFFIXES, FileDataset, FrameFiles, by_stem
from cache.datasets.palette import is_colour, is_name, made_up_colours
from cache.errors import DataError
from cache.plain_yaml import parse_yaml

_LAYOUT: Final = (
    "a folder of clips holds dataset.yaml and <split>/<clip>/images/*.png with masks/*.png "
    "(see cache/datasets/folder.py); name it with --data-root or $DYNCELL_DATA"
)
_KEYS: Final = frozenset({"classes", "colours", "void"})
_NUMBER: Final = re.compile(r".*?(?P<number>\d+)")


class Folder(FileDataset):
    """Clips in the layout above.

    Raises:
        DataError: `root` holds no dataset.yaml or no split, or dataset.yaml breaks a rule.
    """

    unknown_value_advice = "correct the mask, or the classes and void in dataset.yaml"

    def __init__(self, root: Path) -> None:
        path = root / "dataset.yaml"
        settings = _read_yaml(path)
        classes = _classes(settings, path)
        void = _void(settings, len(classes), path)
        values = {index: index for index in range(len(classes))} | {void: VOID}
        super().__init__("folder", root, classes, _colours(settings, len(classes), path), values)
        if not any(self.has(split) for split in SPLITS):
            raise DataError(f"no clips in {root}: none of the folders train, val and test is there; {_LAYOUT}")

    def has(self, split: Split) -> bool:
        return (self.root / split).is_dir()

    def _find(self, split: Split) -> Iterator[FrameFiles]:
        if not self.has(split):
            raise DataError(f"{self.root} has no {split} split: {self.root / split} is missing; {_LAYOUT}")
        for clip in sorted(path for path in (self.root / split).iterdir() if path.is_dir() and path.name[0] != "."):
            images = by_stem(clip / "images", IMAGE_SUFFIXES)
            masks = by_stem(clip / "masks", MASK_SUFFIXES) if (clip / "masks").exists() else {}
            if alone := sorted(masks.keys() - images.keys()):
                raise DataError(f"mask {masks[alone[0]]} has no image in {clip / 'images'}; add it or remove the mask")
            numbers: dict[int, Path] = {}
            for stem, image in images.items():
                match = _NUMBER.fullmatch(stem)
                if match is None:
                    raise DataError(f"the name of {image} does not end in a number; name it as in frame_0001.png")
                number = int(match["number"])
                if other := numbers.get(number):
                    raise DataError(f"{other} and {image} have the same frame number {number}; rename one of them")
                numbers[number] = image
                frame = Frame(f"{split}/{clip.name}/{stem}", clip.name, number, labelled=stem in masks)
                yield FrameFiles(frame, image, masks.get(stem))


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        settings = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; {_LAYOUT}") from error
    except ValueError as error:
        raise DataError(f"{path} is no YAML: {error}") from error
    if not isinstance(settings, dict) or "classes" not in settings:
        raise DataError(f"{path} must be a mapping with a list of classes, as in 'classes: [background, person]'")
    if unknown := sorted(map(str, settings.keys() - _KEYS)):
        raise DataError(f"{path} has the unknown key {unknown[0]!r}; it may hold {', '.join(sorted(_KEYS))}")
    return settings


def _classes(settings: dict[str, Any], path: Path) -> tuple[str, ...]:
    classes = settings["classes"]
    if not (isinstance(classes, list) and 2 <= len(classes) <= VOID and all(map(is_name, classes))):
        raise DataError(
            f"classes in {path} must be 2 to {VOID} names of one line (quote yes, no and numbers), not {classes!r}"
        )
    if len(set(classes)) < len(classes):
        raise DataError(f"classes in {path} must differ from each other, not {classes!r}")
    return tuple(classes)


def _void(settings: dict[str, Any], classes: int, path: Path) -> int:
    void = settings.get("void", VOID)
    if type(void) is not int or not classes <= void <= 255:
        raise DataError(f"void in {path} must be a number from {classes} (no class) to 255, not {void!r}")
    return void


def _colours(settings: dict[str, Any], classes: int, path: Path) -> tuple[tuple[int, int, int], ...]:
    colours = settings.get("colours")
    if colours is None:
        return made_up_colours(classes)
    if not isinstance(colours, list) or len(colours) != classes or not all(is_colour(colour) for colour in colours):
        raise DataError(f"colours in {path} must be {classes} lists of three numbers from 0 to 255, not {colours!r}")
    return tuple((red, green, blue) for red, green, blue in colours)
