"""Rows of a feature cache for training: out of an array that is held whole, or out of the file ahead of their use.

Both ways give the same tensors, bit for bit and in the same memory format.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from cache.errors import DataError
from cache.features import FeatureCache
from cache.sealed import array_places

Request = Mapping[str, Tensor]  # name of an array -> positions (N, T) of the rows to read from it
Batch = dict[str, Tensor]  # name -> features (T, N, C, h, w), channels-last, or labels (T, N, h, w)
T = TypeVar("T")
V = TypeVar("V")

AHEAD: Final = 2  # batches read before they are asked for; a second one evens out a disk's worse moments


class Rows(Protocol):
    """Source of batches for training and scoring."""

    def batch(self, request: Request) -> Batch:
        """Read one batch, on the device of the computation."""

    def batches(self, requests: Iterable[Request]) -> Iterator[Batch]:
        """Read many batches, in their order."""


class HeldRows:
    """Rows of arrays that are held in one piece: on the device, or mapped and so shared by all processes."""

    def __init__(self, cache: FeatureCache, names: Sequence[str], *, home: torch.device, device: torch.device) -> None:
        """Take the arrays `names` of `cache` to `home`; batches are given on `device`."""
        self._arrays = {name: torch.from_numpy(cache.arrays[name]).to(home) for name in names}
        self._home, self._device = home, device

    def batch(self, request: Request) -> Batch:
        places = {id(positions): positions.T.flatten().to(self._home) for positions in request.values()}  # most are one
        rows = {name: self._arrays[name].index_select(0, places[id(where)]) for name, where in request.items()}
        return _shaped(rows, request, self._device)

    def batches(self, requests: Iterable[Request]) -> Iterator[Batch]:
        return map(self.batch, requests)


class StreamedRows:
    """Rows read from the file, where it is too large to be held: of the next batches while one is worked on.

    Positional reads of the file at the places that HDF5 states: they take half the time of h5py's own, and neither its
    lock nor Python's is held meanwhile.
    """

    def __init__(self, cache: FeatureCache, *, device: torch.device) -> None:
        """Open the file of `cache`; batches are given on `device`."""
        self._file = cache.path.open("rb", buffering=0)
        _, self._places = array_places(self._file)
        self._device = device

    def batch(self, request: Request) -> Batch:
        """Read one batch. Raises DataError if the file has become shorter, OSError if it cannot be read."""
        rows = {name: self._read(name, positions.T.flatten().tolist()) for name, positions in request.items()}
        return _shaped(rows, request, self._device)

    def batches(self, requests: Iterable[Request]) -> Iterator[Batch]:
        return ahead(self.batch, requests)

    def _read(self, name: str, positions: Sequence[int]) -> Tensor:
        shape, dtype, offset = self._places[name]
        rows = np.empty((len(positions), *shape[1:]), dtype)
        for row, position in zip(rows, positions, strict=True):
            if os.preadv(self._file.fileno(), [row.data], offset + position * row.nbytes) != row.nbytes:
                raise DataError(f"{self._file.name} ends before its frame {position}; it was cut off while it was used")
        return torch.from_numpy(rows)


def ahead(work: Callable[[T], V], items: Iterable[T]) -> Iterator[V]:
    """Apply `work` to items in their order, in a thread that is `AHEAD` items before what is asked for."""
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        under_way: deque[Future[V]] = deque()
        for item in items:
            under_way.append(thread.submit(work, item))
            if len(under_way) > AHEAD:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


def _shaped(rows: Mapping[str, Tensor], request: Request, device: torch.device) -> Batch:
    """Lay rows (T * N, h, w, C) of features and (T * N, h, w) of labels out as in a batch."""
    moved = {name: array.to(device).view(*request[name].T.shape, *array.shape[1:]) for name, array in rows.items()}
    return {name: array.permute(0, 1, 4, 2, 3) if array.dim() == 5 else array for name, array in moved.items()}


def batched(windows: Sequence[tuple[int, ...]], size: int) -> Iterator[Tensor]:
    """Yield windows as batches (N, T) of positions, `size` at a time in their order, each of one length."""
    by_length: dict[int, list[tuple[int, ...]]] = {}
    for window in windows:
        by_length.setdefault(len(window), []).append(window)
    for alike in by_length.values():
        yield from torch.split(torch.tensor(alike), size)
