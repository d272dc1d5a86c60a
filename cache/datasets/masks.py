"""From what a mask stores to classes: by value or by colour, and refused where the two contradict each other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cache.datasets.clips import VOID
from cache.errors import DataError
from cache.images import Mask

Colour = tuple[int, int, int]
NAMED: Final = 3  # unknown colours that a message names


@dataclass(frozen=True)
class MaskCode:
    """Meaning of the pixels of a data set's masks."""

    dataset: str
    classes: tuple[str, ...]
    values: Mapping[int, int]
    """Stored value -> class or `VOID`."""
    colours: tuple[Colour, ...] | None = None
    """Colour of each class in masks that have colours; None where nobody has said."""
    void_colour: Colour | None = None
    reads_colours: bool = False
    """Masks of colours are read, too."""
    by_colour: bool = False
    """Masks with a palette are read by its colours and not by their values."""
    advice: str = "correct the mask"
    """Way out where a value is unknown."""
    _first: list[tuple[Path, frozenset[int], Mask]] = field(default_factory=list, init=False, compare=False, repr=False)

    def decode(self, mask: Mask, path: Path) -> NDArray[np.uint8]:
        """Turn a mask into the class of each pixel (H, W), `VOID` where there is none.

        Raises:
            DataError: it holds an unknown value or colour, or its palette contradicts the classes' colours.
        """
        if mask.is_coloured and self.reads_colours and self.colours is None and _is_index(mask.pixels):
            return self._by_value(mask.pixels[..., 0], path)
        if mask.is_coloured:
            if not self.reads_colours:
                raise DataError(
                    f"mask {path} is a RGB image, but a mask has one channel whose values are class numbers; "
                    "convert it to a palette or greyscale PNG"
                )
            return self._by_colour(mask.pixels, path)
        if self.by_colour:
            if mask.palette is None:
                raise DataError(
                    f"mask {path} is a greyscale image and has no colours, but 'masks: colours' is asked for"
                )
            return self._by_colour(mask.palette.astype(np.int32)[mask.pixels], path)
        label = self._by_value(mask.pixels, path)
        if mask.palette is not None and not _is_grey(mask.palette):
            self._check_palette(mask, path)
        return label

    def _by_value(self, index: NDArray[np.int32], path: Path) -> NDArray[np.uint8]:
        known = np.isin(index, list(self.values))
        if not known.all():
            y, x = np.argwhere(~known)[0]
            raise DataError(
                f"mask {path} holds the value {index[y, x]} at row {y}, column {x}, but a mask of {self.dataset} holds "
                f"only {', '.join(map(str, sorted(self.values)))}; {self.advice}"
            )
        table = np.zeros(max(self.values) + 1, np.uint8)
        table[list(self.values)] = list(self.values.values())
        return table[index]

    def _by_colour(self, pixels: NDArray[np.int32], path: Path) -> NDArray[np.uint8]:
        if self.colours is None:
            raise DataError(
                f"mask {path} holds colours and no class numbers; write the colour of each class into dataset.yaml, "
                "as in 'colours: [[0, 0, 0], [200, 30, 30]]', or convert the mask to a palette or greyscale PNG"
            )
        packed = _packed(pixels)
        meaning = {_packed(np.array(colour)).item(): number for number, colour in enumerate(self.colours)}
        if self.void_colour is not None:
            meaning.setdefault(_packed(np.array(self.void_colour)).item(), VOID)
        found, places, counts = np.unique(packed, return_inverse=True, return_counts=True)
        unknown = {int(c): int(n) for c, n in zip(found, counts, strict=True) if int(c) not in meaning}
        if unknown:
            most = sorted(unknown, key=lambda colour: -unknown[colour])[:NAMED]
            named = ", ".join(f"{list(_unpacked(colour))} ({unknown[colour]} pixels)" for colour in most)
            if _is_index(pixels):
                named += " (three equal channels are class numbers: save one of them as a greyscale PNG)"
            raise DataError(
                f"mask {path} has {len(unknown)} colours of no class on {sum(unknown.values())} of {packed.size} "
                f"pixels: {named}{', ...' if len(unknown) > NAMED else ''}; correct the colours in dataset.yaml, name "
                "the one to ignore with 'void_colour: [r, g, b]', or save masks without smoothing and without loss"
            )
        table = np.array([meaning[int(colour)] for colour in found], np.uint8)
        return table[places].reshape(packed.shape)

    def _check_palette(self, mask: Mask, path: Path) -> None:
        """Raise DataError if a used position has the colour of another class, or that of another one elsewhere."""
        assert mask.palette is not None
        used = frozenset(np.unique(mask.pixels).tolist())
        if self.colours is None:
            self._check_against_first(mask, used, path)
            return
        classes = {colour: number for number, colour in reversed(list(enumerate(self.colours)))}
        for value in sorted(used):
            colour, number = tuple(mask.palette[value].tolist()), self.values[value]
            other = classes.get(colour)
            if other is not None and (number == VOID or self.colours[number] != colour):
                name = "void" if number == VOID else self.classes[number]
                raise DataError(
                    f"mask {path} has the value {value}, which means {name}, in the colour {list(colour)} of "
                    f"{self.classes[other]}: its palette has another order than the classes (a program that reduces "
                    f"colours chooses its own); {self._out_of_disorder()}"
                )

    def _check_against_first(self, mask: Mask, used: frozenset[int], path: Path) -> None:
        if not self._first:
            self._first.append((path, used, mask))
            return
        first_path, first_used, first = self._first[0]
        assert mask.palette is not None
        assert first.palette is not None
        here, there = (dict(enumerate(map(tuple, each.tolist()))) for each in (mask.palette, first.palette))
        for value in sorted(used):
            for other in sorted(first_used - {value}):
                if here[value] == there[other] and here.get(other) != here[value] and there.get(value) != here[value]:
                    raise DataError(
                        f"the palettes of {first_path} and {path} differ: the colour {list(here[value])} has the value "
                        f"{other} in the one and {value} in the other; give both one palette, or write colours and "
                        "'masks: colours' into dataset.yaml"
                    )

    def _out_of_disorder(self) -> str:
        if self.reads_colours:
            return "write 'masks: colours' into dataset.yaml to read masks by their colours, or correct the palette"
        return "get the published masks, or correct the palette"


def _is_grey(palette: NDArray[np.uint8]) -> bool:
    """Tell whether a palette only shows its positions, and tells nothing about classes."""
    return bool((palette == np.arange(len(palette))[:, None]).all())


def _is_index(pixels: NDArray[np.int32]) -> bool:
    """Tell whether RGB is grey everywhere, as where class numbers are saved three times."""
    return bool((pixels == pixels[..., :1]).all())


def _packed(colours: NDArray[np.generic]) -> NDArray[np.int64]:
    """Write RGB (..., 3) as one number each."""
    packed: NDArray[np.int64] = colours.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    return packed


def _unpacked(colour: int) -> Colour:
    return colour >> 16, colour >> 8 & 255, colour & 255
