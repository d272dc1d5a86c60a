"""Time order and frame numbers from the names of files: one order for training, evaluation and segmenting.

Names are compared chunk by chunk, text as text and digits as numbers; a number with a fraction is one number. A frame's
number is the last one in its name that varies. Where that is a time (a clock, a time since 1970, or seconds with a
fraction), frames are numbered as in a video of `RATE` frames a second. Where the numbers in names disagree about the
order, the files are refused: nobody can know it.
"""

import datetime
import re
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from cache.errors import DataError

RATE: Final = 30
_NUMBER: Final = re.compile(r"(\d+(?:\.\d+)?)")
_CLOCK: Final = re.compile(
    r"\D*(?:(?P<year>(?:19|20)\d\d)(?P<d>[-_.]?)(?P<month>\d\d)(?P=d)(?P<day>\d\d)[-_. T]*)?"
    r"(?P<hour>[0-2]\d)(?P<t>[-_.:hH]?)(?P<minute>[0-5]\d)(?:(?P=t)|[mM])(?P<second>[0-5]\d)"
    r"(?:[-_.,s](?P<fraction>\d{1,9}))?\D*"
)
_SINCE_1970: Final = {10: 1, 13: 10**3, 16: 10**6, 19: 10**9}  # digits of such a time -> its units in a second


class _Order(NamedTuple):
    """Key that sorts the files of one folder: a value for each name."""

    values: dict[str, Decimal]
    are_times: bool
    """Values are in seconds."""


def in_order(paths: Sequence[Path]) -> list[Path]:
    """Sort files by folder, in each by time; by name where names have no numbers.

    Raises:
        DataError: the order is ambiguous.
    """
    ordered = []
    for folder in sorted({path.parent for path in paths}, key=lambda folder: _chunks(str(folder))):
        inside = sorted((path for path in paths if path.parent == folder), key=lambda path: _chunks(path.stem))
        if all(_NUMBER.search(path.stem) for path in inside):
            values = _order(sorted({path.stem for path in inside}, key=_chunks), folder).values
            inside.sort(key=lambda path: values[path.stem])
        ordered += inside
    return ordered


def numbered(paths: Sequence[Path]) -> list[tuple[int, Path]]:
    """Number files of one folder, in time order and in frames of the video.

    Raises:
        DataError: a name has no number, two have the same, or the order is ambiguous.
    """
    if nameless := [path for path in paths if not _NUMBER.search(path.stem)]:
        raise DataError(f"the name of {nameless[0]} does not end in a number; name it as in frame_0001.png")
    if not paths:
        return []
    values, are_times = _order(sorted((path.stem for path in paths), key=_chunks), paths[0].parent)
    ordered = sorted(paths, key=lambda path: values[path.stem])
    if are_times:
        return list(zip(_at_rate([values[path.stem] for path in ordered]), ordered, strict=True))
    return [(int(values[path.stem]), path) for path in ordered]


def _chunks(name: str) -> list[tuple[str, Decimal]]:
    """Split a name so that frame_2 sorts before frame_10: texts, and the number after each."""
    parts = [*_NUMBER.split(name), "-1"]
    return [(text, Decimal(number)) for text, number in zip(parts[::2], parts[1::2], strict=True)]


def _order(stems: Sequence[str], folder: Path) -> _Order:
    """Order names that all hold numbers and are sorted by their chunks."""
    clock = {stem: match for stem in stems if (match := _CLOCK.fullmatch(stem))}
    if len(clock) == len(stems) and all(match["year"] or match["t"] for match in clock.values()):
        times = {stem: time for stem, match in clock.items() if (time := _seconds(match)) is not None}
        if len(times) == len(stems):
            return _distinct(_Order(times, are_times=True), folder)
    numbers = {stem: _NUMBER.findall(stem) for stem in stems}
    place = _varying_place(list(numbers.values()))
    digits = {stem: each[place] for stem, each in numbers.items()}
    lengths = {len(each) for each in digits.values()}
    units = _SINCE_1970.get(lengths.pop()) if len(lengths) == 1 and len(stems) > 1 else None
    fractions = any("." in each for each in digits.values())
    if units is not None and not fractions:
        order = _Order({stem: Decimal(each) / units for stem, each in digits.items()}, are_times=True)
    else:
        order = _Order({stem: Decimal(each) for stem, each in digits.items()}, are_times=fractions)
    order = _distinct(order, folder)
    _refuse_two_orders(stems, digits, folder)
    return order


def _varying_place(numbers: Sequence[Sequence[str]]) -> int:
    """Find the last number that varies, counted from the end as names may differ in front."""
    places = range(-1, -min(map(len, numbers)) - 1, -1)
    return next((place for place in places if len({each[place] for each in numbers}) > 1), -1)


def _refuse_two_orders(stems: Sequence[str], digits: dict[str, str], folder: Path) -> None:
    """Raise DataError unless the numbers at one place agree with the order of all chunks of the names."""
    for before, after in pairwise(stems):
        if Decimal(digits[before]) > Decimal(digits[after]):
            raise DataError(
                f"the order of {before} and {after} in {folder} is ambiguous: more than one part of the names varies "
                "and they disagree; number the frames of a clip by one number, or by date and time as in "
                "2021-06-27_22-51-55, and give each camera or take a clip of its own"
            )
    parts = [tuple(each.split(".")) for each in digits.values() if "." in each]
    versions = len(parts) > 1 and len({whole for whole, _ in parts}) == 1 and not any(p[1][0] == "0" for p in parts)
    if versions and sorted(parts, key=lambda p: int(p[1])) != sorted(parts, key=lambda p: Decimal(".".join(p))):
        raise DataError(
            f"the names in {folder} may hold numbers with a fraction or two numbers, as in {next(iter(digits))}, with "
            "different orders; pad them with zeros to one length"
        )


def _distinct(order: _Order, folder: Path) -> _Order:
    seen: dict[Decimal, str] = {}
    for stem, value in order.values.items():
        if (other := seen.setdefault(value, stem)) != stem:
            what = "time" if order.are_times else "frame number"
            raise DataError(f"{other} and {stem} in {folder} have the same {what} {value}; rename one of them")
    return order


def _seconds(match: re.Match[str]) -> Decimal | None:
    """Read a clock, None if there is no such date."""
    try:
        date = datetime.date(*(int(match[part] or 1) for part in ("year", "month", "day")))
    except ValueError:
        return None
    clock = 3600 * int(match["hour"]) + 60 * int(match["minute"]) + int(match["second"])
    return 86400 * date.toordinal() + clock + Decimal(f"0.{match['fraction'] or 0}")


def _at_rate(times: Sequence[Decimal]) -> list[int]:
    """Number times in seconds as frames of a video of `RATE`, so that jitter is no jump and a lost frame is one."""
    if len(times) == 1:
        return [0]
    gaps = [after - before for before, after in pairwise(times)]
    usual = median(gaps)
    step = max(1, round(RATE * usual))
    numbers = [0]
    for gap in gaps:
        numbers.append(numbers[-1] + step * max(1, round(gap / usual)))
    return numbers
