"""Arrays in one sealed HDF5 file: written once, checked to the last bit, and shared by all processes of a machine.

The file is ordinary HDF5 (contiguous arrays, uncompressed), so other tools read it. Its user block, the 512 bytes in
front that HDF5 leaves to its users, is the seal: a magic string, and the size and checksum of the rest. Arrays are
mapped copy-on-write: all processes see the same pages, and a write stays in its process and never reaches the file.
"""

import errno
import io
import mmap
import os
import shutil
import struct
import sys
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple

import h5py
import numpy as np
import xxhash
from numpy.typing import NDArray

from cache.atomic import atomic_path
from cache.errors import DataError

Array = NDArray[Any]
Record = Mapping[str, Array]  # rows (n, ...) of every array of a file

_SEAL: Final = 512  # bytes; HDF5 allows powers of two from here
_MAGIC: Final = b"dyncell arrays, version 1\n"  # another layout gets another number, and old files are refused
_CHUNK: Final = 1 << 24  # bytes hashed at a time, so that Ctrl-C is heard in between
_NO_RESERVE: Final = 0x4000 if sys.platform == "linux" else 0
"""MAP_NORESERVE: without it Linux refuses to map a file larger than the memory, as all of it might be written to."""


class CacheMismatch(DataError):  # noqa: N818 - not a failure: the answer to it is to make the file again
    """The file is not what is asked for; the message says why in words that fit a log line."""


class Place(NamedTuple):
    """Place of an array, whose rows follow one another in the file."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    """Position of its first byte in the file."""


def map_arrays(path: Path, *, verify: bool = True) -> tuple[dict[str, str], dict[str, Array]]:
    """Map the attributes and arrays of a file that `write_arrays` wrote.

    Args:
        path: of the file.
        verify: read and check every byte; False trusts them and checks the size.

    Raises:
        FileNotFoundError: there is no such file.
        CacheMismatch: it is truncated, damaged or of another version.
    """
    with path.open("rb", buffering=0) as file:  # one open file, so that a replacement in between cannot mix two
        pages = _map(file)
        if verify and pages[:_SEAL] != _seal(len(pages), _digest(pages)):
            raise CacheMismatch("its checksum is wrong; some of its bytes have changed since it was written")
        pages.madvise(mmap.MADV_DONTNEED)  # so that who streams the file does not hold all that was checked
        attributes, places = array_places(file)
    arrays: dict[str, Array] = {
        name: np.ndarray(shape, dtype, buffer=pages, offset=offset) for name, (shape, dtype, offset) in places.items()
    }
    return attributes, arrays


def array_places(file: io.FileIO) -> tuple[dict[str, str], dict[str, Place]]:
    """Read the attributes of an open file that `write_arrays` wrote, and where its arrays lie."""
    with h5py.File(file, "r") as contents:
        attributes = {name: str(value) for name, value in contents.attrs.items()}
        return attributes, {name: Place(a.shape, a.dtype, a.id.get_offset()) for name, a in contents.items()}


def write_arrays(path: Path, attributes: Mapping[str, str], count: int, records: Iterable[Record]) -> None:
    """Write a file atomically and one record at a time.

    Args:
        path: of the file; an existing one is replaced at the very end.
        attributes: texts to keep with the arrays.
        count: rows of every array, 1 or more.
        records: consecutive rows; all have the names, dtypes and row shapes of the first, and together `count` rows.

    Raises:
        OSError: the folder cannot be written or the disk is full. Nothing is left behind, `path` is untouched.
    """
    remaining = iter(records)
    first = next(remaining)
    metadata, offsets = _lay_out(attributes, count, first)
    path.parent.mkdir(parents=True, exist_ok=True)
    _require_space(path, metadata.size)
    with atomic_path(path) as temporary, temporary.open("wb+") as file:
        metadata.copy_to(file)
        done = 0
        for record in chain([first], remaining):
            done += _write_rows(file, offsets, record, first, done, count)
        if done != count:
            raise ValueError(f"records must have {count} rows together, but have {done}")
        file.flush()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pages:
            seal = _seal(len(pages), _digest(pages))
        _write(file, 0, seal)


class _Metadata(io.RawIOBase):
    """A file for HDF5 to lay out: keeps the kilobytes that it writes, by position, and not the room for the arrays.

    HDF5 itself must not meet a full disk: where a write fails it cannot close its file, and ends the process with a
    segmentation fault (seen with HDF5 2.0). Here it writes to memory, and what goes to the disk are plain writes.
    """

    def __init__(self) -> None:
        self.size = 0
        self._position = 0
        self._written: dict[int, bytes] = {}

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        return self._position

    def write(self, data: Any) -> int:  # noqa: ANN401 - any buffer, as in the base class
        self._written[self._position] = bytes(data)
        self._position += len(data)
        self.size = max(self.size, self._position)
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        self.size = self._position if size is None else size
        return self.size

    def copy_to(self, file: io.BufferedRandom) -> None:
        file.truncate(self.size)
        for offset, data in self._written.items():
            _write(file, offset, data)


def _lay_out(attributes: Mapping[str, str], count: int, first: Record) -> tuple[_Metadata, dict[str, int]]:
    """Let HDF5 decide where everything goes; returns its metadata and the position of each array in the file."""
    metadata = _Metadata()
    early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    options = {"fill_time": "never", "dcpl": early}
    aligned = {"alignment_threshold": _SEAL, "alignment_interval": _SEAL}
    with h5py.File(metadata, "w", userblock_size=_SEAL, **aligned) as contents:
        contents.attrs.update(attributes)
        for name, rows in first.items():
            contents.create_dataset(name, (count, *rows.shape[1:]), rows.dtype, **options)
        offsets = {name: array.id.get_offset() for name, array in contents.items()}
    return metadata, offsets


def _write_rows(
    file: io.BufferedRandom, offsets: Mapping[str, int], record: Record, first: Record, done: int, count: int
) -> int:
    """Write one record after the `done` rows before it and return how many rows it has."""
    rows = len(next(iter(record.values())))
    expected = {name: (min(rows, count - done), *array.shape[1:], array.dtype) for name, array in first.items()}
    received = {name: (*array.shape, array.dtype) for name, array in record.items()}
    if received != expected or rows == 0:
        raise ValueError(f"a record after {done} of {count} rows must have the arrays {expected}, but has {received}")
    for name, array in record.items():
        _write(file, offsets[name] + done * (array.nbytes // rows), np.ascontiguousarray(array).data)
    return rows


def _write(file: io.BufferedRandom, offset: int, data: bytes | memoryview) -> None:
    file.seek(offset)
    file.write(data)


def _require_space(path: Path, size: int) -> None:
    """Find out before the work; a disk that fills up later still stops the writing with its own OSError."""
    free = shutil.disk_usage(path.parent).free
    if free < size:
        reason = f"{size / 1e6:,.0f} MB are needed, {free / 1e6:,.0f} MB are free; make room or choose another folder"
        raise OSError(errno.ENOSPC, reason, str(path))


def _seal(size: int, digest: bytes) -> bytes:
    return (_MAGIC + struct.pack("<Q", size) + digest).ljust(_SEAL, b"\0")


def _digest(pages: mmap.mmap) -> bytes:
    """Compute the xxh3_128 of everything after the seal."""
    digest = xxhash.xxh3_128()
    with memoryview(pages) as content:
        for start in range(_SEAL, len(content), _CHUNK):
            digest.update(content[start : start + _CHUNK])
    return digest.digest()


def _map(file: io.FileIO) -> mmap.mmap:
    """Map a file that has a seal and the size that it states."""
    seal = file.read(_SEAL).ljust(_SEAL, b"\0")
    if not seal.startswith(_MAGIC):
        raise CacheMismatch("it is empty, damaged or written by another version of dyncell")
    (expected,) = struct.unpack_from("<Q", seal, len(_MAGIC))
    size = os.fstat(file.fileno()).st_size
    if size != expected:
        raise CacheMismatch(f"it has {size:,} bytes and should have {expected:,}; it was cut off or overwritten")
    return mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE | _NO_RESERVE, mmap.PROT_READ | mmap.PROT_WRITE)
