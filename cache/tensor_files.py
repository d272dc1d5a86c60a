"""Files of tensors and plain values: the one way to write them, and to read them without unpickling anything else."""

import io
import os
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

import torch
from torch import Tensor, nn

from cache.atomic import atomic_path
from cache.errors import DataError
from cache.shipped import find, names

DAMAGED: Final = (RuntimeError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, AssertionError)
"""Errors that PyTorch's reader raises, beside those of pickling and reading, where bytes of a file have changed."""
_UNREADABLE: Final = (pickle.UnpicklingError, zipfile.BadZipFile, struct.error, OSError, EOFError, *DAMAGED)

_FOLDER: Final = 0x10  # by which PyTorch leaves a part unread, and takes whatever its memory held before
_START: Final = b"PK\3\4"  # by which PyTorch tells an archive from its older format


def check_archive(file: BinaryIO) -> None:
    """Compare every part of an archive with its checksum; what is no archive is left to PyTorch.

    Raises:
        zipfile.BadZipFile: bytes have changed, or parts are compressed, which PyTorch's own never are: a small file
            could then fill the memory. Other errors of `zipfile` where its lists are damaged.
    """
    if file.read(len(_START)) == _START:
        size = file.seek(0, os.SEEK_END)
        with zipfile.ZipFile(file) as archive:
            parts = archive.infolist()
            if any(part.compress_type for part in parts) or sum(part.file_size for part in parts) > size:
                raise zipfile.BadZipFile("it holds more than its size")
            if any(part.external_attr & _FOLDER for part in parts):
                raise zipfile.BadZipFile("a part of it is marked as a folder")
            if (damaged := archive.testzip()) is not None:
                raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")
    file.seek(0)


def save_tensors(path: Path, content: Mapping[str, Any]) -> None:
    """Write tensors and plain values to `path`, atomically.

    Raises:
        OSError: the folder cannot be written or the disk is full; what was at `path` is untouched.
    """
    buffer = io.BytesIO()  # torch.save into a file reports a full disk as a bare RuntimeError
    torch.save(dict(content), buffer)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load_tensors(path: Path) -> dict[str, Any]:
    """Read a file of tensors and plain values, onto the CPU; a network that ships may be called by its name.

    Raises:
        DataError: there is no such file, or it is damaged, or it holds more than that.
    """
    try:
        with find(path).open("rb") as file:
            check_archive(file)
            content = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        ship = f"; networks that ship are {', '.join(names())}" if len(path.parts) == 1 and not path.suffix else ""
        raise DataError(f"there is no file {path}{ship}") from error
    except _UNREADABLE as error:
        raise DataError(f"{path} is not a file of plain tensors, or it is damaged ({brief(error)})") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} must hold tensors by name, but holds {type(content).__name__}")
    return content


def load_weights(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load all weights and statistics of a module.

    Raises:
        RuntimeError: names or shapes do not fit.
        ValueError: one is infinite or not a number.
    """
    module.load_state_dict(weights)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise ValueError(f"{name} is infinite or not a number")


def brief(error: Exception) -> str:
    """Cut what an error says to one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__
