"""dataset.yaml: what a folder of clips says about itself."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

from cache.datasets.clips import SPLITS, VOID, Split
from cache.datasets.files import Fit
from cache.datasets.masks import MaskCode
from cache.datasets.palette import is_colour, is_name, made_up_colours
from cache.errors import DataError
from cache.plain_yaml import parse_yaml

EXAMPLE: Final = """\
# dataset.yaml: `classes` is all it needs
name: walks                          # what reports and caches call the data; 'folder' by default
classes: [background, person, dog]   # pixel value 0 in a mask is the first class, and so on
colours: [[0, 0, 0], [200, 30, 30], [30, 30, 200]]   # RGB; pictures use them, masks of colours need them
void: 255                            # the pixel value to ignore
# values: [0, 128, 255]              # the pixel value of each class, where it is not 0, 1, 2, ...
# masks: colours                     # read masks with a palette by its colours and not by their values
# void_colour: [255, 255, 255]       # the colour to ignore, in masks of colours
# sizes: letterbox                   # or resize: bring clips of several sizes to one
# size: [480, 640]                   # that size, height and width; by default that of the first frame
# splits:                            # clips by name, where they lie in one folder and not in train/, val/, test/
#   train: [monday, tuesday]
#   val: [wednesday]
"""
_KEYS: Final = frozenset(
    {"name", "classes", "colours", "void", "values", "masks", "void_colour", "sizes", "size", "splits"}
)
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_LARGEST: Final = 2**14  # pixels of a side
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class FolderSettings:
    """A checked dataset.yaml."""

    name: str
    colours: tuple[Colour, ...]
    code: MaskCode
    fit: Fit
    size: tuple[int, int] | None
    splits: Mapping[Split, tuple[str, ...]] | None
    """Clips of each split by name; None where the splits are folders."""


def read_settings(path: Path, layout: str) -> FolderSettings:
    """Read a dataset.yaml.

    Args:
        path: to the file.
        layout: a sentence about where things lie, for whoever has no such file.

    Raises:
        DataError: it is missing, is no YAML or breaks a rule.
    """
    given = _Given(_mapping(path, layout), path)
    classes = _classes(given)
    count = len(classes)
    values, void = _values(given, count)
    colours = given.checked(
        "colours",
        lambda value: isinstance(value, list) and len(value) == count and all(map(is_colour, value)),
        f"{count} lists of three numbers from 0 to 255",
    )
    known = None if colours is None else tuple(_colour(each) for each in colours)
    void_colour = given.checked("void_colour", is_colour, "a list of three numbers from 0 to 255")
    name = given.checked(
        "name", lambda value: isinstance(value, str) and _FILE_NAME.fullmatch(value), "letters, digits, '.', '_', '-'"
    )
    masks = given.checked("masks", lambda value: value in ("values", "colours"), "values or colours") or "values"
    if masks == "colours" and known is None:
        raise DataError(f"'masks: colours' in {path} needs the colours of the classes; add colours")
    fit: Fit = given.checked("sizes", lambda value: value in get_args(Fit), " or ".join(get_args(Fit))) or "same"
    size = given.checked("size", _is_size, f"a height and a width from 1 to {_LARGEST}")
    code = MaskCode(
        dataset=name or "folder",
        classes=classes,
        values=values if void is None else values | {void: VOID},
        colours=known,
        void_colour=None if void_colour is None else _colour(void_colour),
        reads_colours=True,
        by_colour=masks == "colours",
        advice="correct the mask, or the classes, values and void in dataset.yaml",
    )
    return FolderSettings(
        name or "folder",
        known or made_up_colours(count),
        code,
        fit,
        None if size is None else (size[0], size[1]),
        _splits(given),
    )


@dataclass(frozen=True)
class _Given:
    """The keys of a file and the file, for messages."""

    keys: Mapping[str, Any]
    path: Path

    def checked(self, key: str, fits: Callable[[Any], object], rule: str) -> Any:  # noqa: ANN401 - whatever fits
        """Look a key up; None where it is absent. Raises DataError where its value breaks the rule."""
        value = self.keys.get(key)
        if value is not None and not fits(value):
            raise DataError(f"{key} in {self.path} must be {rule}, not {value!r}")
        return value


def _mapping(path: Path, layout: str) -> dict[str, Any]:
    try:
        settings = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; {layout}") from error
    except ValueError as error:
        raise DataError(f"{path} is no YAML: {error}") from error
    if not isinstance(settings, dict) or "classes" not in settings:
        raise DataError(f"{path} must be a mapping with a list of classes, as in 'classes: [background, person]'")
    if unknown := sorted(map(str, settings.keys() - _KEYS)):
        raise DataError(f"{path} has the unknown key {unknown[0]!r}; it may hold {', '.join(sorted(_KEYS))}")
    return settings


def _classes(given: _Given) -> tuple[str, ...]:
    classes, path = given.keys["classes"], given.path
    if not (isinstance(classes, list) and 2 <= len(classes) <= VOID and all(map(is_name, classes))):
        raise DataError(
            f"classes in {path} must be 2 to {VOID} names of one line (quote yes, no and numbers), not {classes!r}"
        )
    if len(set(classes)) < len(classes):
        raise DataError(f"classes in {path} must differ from each other, not {classes!r}")
    return tuple(classes)


def _values(given: _Given, classes: int) -> tuple[dict[int, int], int | None]:
    """Read what each stored value means, and the value of void; None where 255 is a class and no other is named."""

    def are_values(value: object) -> bool:
        fits = isinstance(value, list) and len(value) == classes and len(set(map(str, value))) == classes
        return fits and all(type(each) is int and 0 <= each <= 65535 for each in value)  # type: ignore[attr-defined]

    rule = f"{classes} different numbers from 0 to 65535, the pixel value of each class"
    listed = given.checked("values", are_values, rule)
    values = {value: number for number, value in enumerate(listed or range(classes))}
    void = given.keys.get("void", VOID)
    if listed is None:
        if type(void) is not int or not classes <= void <= VOID:
            raise DataError(f"void in {given.path} must be a number from {classes} (no class) to {VOID}, not {void!r}")
    elif "void" not in given.keys:
        void = None if void in values else void
    elif type(void) is not int or void in values or not 0 <= void <= 65535:
        raise DataError(f"void in {given.path} must be a number that is none of the values, not {void!r}")
    return values, void


def _is_size(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(type(side) is int and 1 <= side <= _LARGEST for side in value)
    )


def _splits(given: _Given) -> dict[Split, tuple[str, ...]] | None:
    def are_lists(value: object) -> bool:
        return (
            isinstance(value, dict)
            and value.keys() <= set(SPLITS)
            and all(isinstance(clips, list) and clips and all(map(_is_clip, clips)) for clips in value.values())
        )

    lists = given.checked("splits", are_lists, f"lists of clips (folders beside it) under {', '.join(SPLITS)}")
    if lists is None:
        return None
    splits: dict[Split, tuple[str, ...]] = {split: tuple(map(str, lists[split])) for split in SPLITS if split in lists}
    seen: dict[str, str] = {}
    for split, clips in splits.items():
        for clip in clips:
            if clip in seen:
                raise DataError(f"the clip {clip!r} stands twice in {given.path}, in {seen[clip]} and in {split}")
            seen[clip] = split
    return splits


def _is_clip(value: object) -> bool:
    """Tell whether it can be a folder inside the data set's."""
    if type(value) is int:
        return True
    return isinstance(value, str) and is_name(value) and not Path(value).is_absolute() and ".." not in Path(value).parts


def _colour(values: list[int]) -> Colour:
    red, green, blue = values
    return red, green, blue
