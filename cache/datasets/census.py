"""Census of the labels of a split: pixels of each class, frame by frame, counted once and remembered.

Counting reads every mask, so what cannot be read or is no label comes out here, before anything is trained on it.
"""

import contextlib
import hashlib
import json
import logging
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from cache.atomic import write_text
from cache.cores import usable_cores
from cache.datasets.clips import VOID, Dataset, Frame, Split, clips
from cache.datasets.files import FileDataset

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Census:
    """Frames of a split and the pixels of their labels."""

    split: Split
    frames: tuple[Frame, ...]
    pixels: NDArray[np.int64]
    """Pixels of each class and, last, of void (frames, classes + 1); zeros for frames without a label."""
    turned: int
    """Number of labelled frames whose image is turned upright by an EXIF tag and whose mask has none."""

    def counts(self, positions: Collection[int] | None = None) -> NDArray[np.int64]:
        """Sum up the pixels of each class (classes,) over some frames, or over all."""
        chosen = self.pixels if positions is None else self.pixels[sorted(set(positions))]
        total: NDArray[np.int64] = chosen[:, :-1].sum(0)
        return total

    def void(self, positions: Collection[int] | None = None) -> int:
        """Count the pixels that are void over some frames, or over all."""
        chosen = self.pixels if positions is None else self.pixels[sorted(set(positions))]
        return int(chosen[:, -1].sum())

    @property
    def labelled(self) -> int:
        """Number of labelled frames."""
        return sum(frame.labelled for frame in self.frames)

    def __str__(self) -> str:
        return f"{self.split}: {len(self.frames)} frames, {self.labelled} labelled, {len(clips(self.frames))} clips"


def take_census(dataset: Dataset, split: Split, directory: Path) -> Census:
    """Count a split, or remember what was counted of the same files.

    Args:
        dataset: the labelled clips.
        split: which of its lists.
        directory: folder for the file `<data set>-<split>-<fingerprint>.json`.

    Raises:
        DataError: the split is absent, or a mask or the head of an image cannot be read or is wrong.
        OSError: the directory cannot be written or the disk is full.
    """
    frames = dataset.frames(split)
    key = hashlib.sha256(repr((dataset.fingerprint(split), dataset.classes)).encode()).hexdigest()
    path = directory / f"{dataset.name}-{split}-{key[:12]}.json"
    labelled = [place for place, frame in enumerate(frames) if frame.labelled]
    pixels = np.zeros((len(frames), len(dataset.classes) + 1), np.int64)
    found = _remembered(path, key, (len(labelled), pixels.shape[1]))
    if found is None:
        found = _census_of(dataset, frames, labelled, split)
        write_text(path, json.dumps({"key": key, "turned": found[1], "pixels": found[0].tolist()}) + "\n")
    pixels[labelled], turned = found
    return Census(split, frames, pixels, turned)


def _remembered(path: Path, key: str, shape: tuple[int, int]) -> tuple[NDArray[np.int64], int] | None:
    """Read the counts of an earlier census; None where there are none or they are damaged."""
    with contextlib.suppress(FileNotFoundError, ValueError, TypeError, KeyError, OverflowError):
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        pixels = np.array(content["pixels"], np.int64)
        if content["key"] == key and pixels.shape == shape:
            return pixels, int(content["turned"])
    return None


def _census_of(
    dataset: Dataset, frames: Sequence[Frame], labelled: Sequence[int], split: Split
) -> tuple[NDArray[np.int64], int]:
    """Read every mask and the head of every image, on all cores."""
    classes = len(dataset.classes)

    def count(place: int) -> tuple[NDArray[np.int64], bool]:
        label = dataset.label(frames[place])
        pixels = np.bincount(label.ravel(), minlength=VOID + 1)
        turned = isinstance(dataset, FileDataset) and _is_turned_alone(dataset, frames[place])
        return np.append(pixels[:classes], pixels[VOID]), turned

    with ThreadPoolExecutor(usable_cores()) as pool:
        rows = pool.map(count, labelled)
        told = tqdm(rows, f"looking at the {split} labels", len(labelled), unit="mask", disable=None, leave=False)
        counts, turned = zip(*told, strict=True)
        if isinstance(dataset, FileDataset):
            list(pool.map(dataset.check_size, frames))
    return np.stack(counts), sum(turned)


def _is_turned_alone(dataset: FileDataset, frame: Frame) -> bool:
    image, mask = dataset.orientations(frame)
    return image != 1 and mask == 1
