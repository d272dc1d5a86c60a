"""Whether a PyTorch file is whole: PyTorch reads a zip archive, but never looks at the checksums in it."""

import os
import zipfile
from typing import BinaryIO, Final

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
