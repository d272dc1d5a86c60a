"""FeatureCache: what the frozen static network makes of every frame, in one file that is complete or absent."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import numpy as np
import torch
from torch import Tensor

from cache.errors import DataError
from cache.sealed import Array, CacheMismatch, Record, map_arrays, write_arrays

Spec = Mapping[str, object]  # what the features were made of, as JSON
_NAMES: Final = "names"


@dataclass(frozen=True, eq=False)
class FeatureCache:
    """Features and labels of N frames, mapped from a file.

    `arrays` holds `layer2`, `layer3`, `layer4` and `dec` as float16 (N, h, w, C), where they are kept `low.layer2`,
    `low.layer3` and `low.layer4` of halved frames likewise, `label8` as uint8 of the size of `layer2`, and `label` as
    uint8 (N, H, W). Row i of each belongs to frame `names[i]`. The arrays are mapped from the file: all processes of a
    machine share one copy, and what one writes into them the others and the file never see.
    """

    path: Path
    fingerprint: str
    names: tuple[str, ...] = field(repr=False)
    arrays: Mapping[str, Array] = field(repr=False)

    @classmethod
    def open(cls, path: Path, fingerprint: str, *, verify: bool = True) -> Self:
        """Map the features of `path`.

        Args:
            path: a file that `build` wrote.
            fingerprint: the one it must have.
            verify: read and check every byte; False trusts them, as a worker may whose driver has just checked.

        Raises:
            FileNotFoundError: there is no such file.
            CacheMismatch: it is truncated, damaged, of another version or has another fingerprint.
        """
        attributes, arrays = map_arrays(path, verify=verify)
        found = attributes["fingerprint"]
        if found != fingerprint:
            raise CacheMismatch(
                f"its fingerprint is {found[:12]} and not {fingerprint[:12]}, "
                "so it is of another network, size or precision, or of other frames"
            )
        names = tuple(name.decode() for name in arrays.pop(_NAMES).tolist())
        return cls(path, fingerprint, names, arrays)

    def tensor(self, name: str) -> Tensor:
        """View one array: features as float16 (N, C, h, w) in channels-last order, labels as they are."""
        tensor = torch.from_numpy(self.arrays[name])
        return tensor.permute(0, 3, 1, 2) if tensor.dim() == 4 else tensor

    @staticmethod
    def build(path: Path, fingerprint: str, spec: Spec, names: Sequence[str], records: Iterable[Record]) -> None:
        """Write the file, atomically and one record at a time.

        Args:
            path: the file; an existing one is replaced at the very end.
            fingerprint: the one that `open` has to ask for.
            spec: what the features are made of, kept in the file for people who ask.
            names: all frames' names, one or more, in order.
            records: consecutive rows of every array.

        Raises:
            DataError: a feature is infinite or not a number, as when it is too large for float16.
            OSError: the folder cannot be written or the disk is full. Nothing is left behind, `path` is untouched.
        """
        attributes = {"fingerprint": fingerprint, "spec": json.dumps(spec)}
        write_arrays(path, attributes, len(names), _named(records, names))


def _named(records: Iterable[Record], names: Sequence[str]) -> Iterator[Record]:
    """Check the records' values and give each row its frame's name."""
    encoded = np.array([name.encode() for name in names])
    done = 0
    for record in records:
        count = len(next(iter(record.values())))
        for name, array in record.items():
            _require_finite(name, array, names[done : done + count])
        yield {**record, _NAMES: encoded[done : done + count]}
        done += count


def _require_finite(name: str, array: Array, frames: Sequence[str]) -> None:
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return
    frame = next(frame for frame, values in zip(frames, array, strict=True) if not np.isfinite(values).all())
    raise DataError(
        f"the static network's {name} for frame {frame} holds values that float16 cannot (beyond 65504, or not a "
        "number), so its training has diverged; train it again at a lower rate or give another checkpoint"
    )
