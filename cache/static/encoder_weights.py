"""ImageNet weights of the encoder, in torchvision's naming: loaded strictly, or fetched from the public address."""

import hashlib
import urllib.request
from pathlib import Path
from typing import Final

from torch import Tensor

from cache.atomic import atomic_path
from cache.errors import DataError
from cache.static.mobilenet_v2 import MobileNetV2
from cache.tensor_files import load_tensors

URL: Final = "https://download.pytorch.org/models/mobilenet_v2-b0353104.pth"
_FILE: Final = URL.rpartition("/")[2]
_SHA256_START: Final = "b0353104"  # stands in the name; the file's format, an old one, has no checksum
_HEAD: Final = ("features.18.", "classifier.")  # ImageNet's own layers, of which this encoder has none
_WANTED: Final = "torchvision's mobilenet_v2 weights are wanted, " + URL


def load_encoder(encoder: MobileNetV2, path: Path) -> None:
    """Load weights of any floating type into `encoder`; only ImageNet's own last layers may be left over.

    Raises:
        DataError: no such file, no plain tensors, or a key or a shape that does not fit, the first of which is named;
            or it has the published file's name and other bytes.
    """
    content = load_tensors(path)
    if path.name == _FILE and not _is_published(path.read_bytes()):
        raise DataError(f"encoder weights {path} are damaged: they are not the published file; get it again from {URL}")
    given = {name: value for name, value in content.items() if not name.startswith(_HEAD)}
    wanted = encoder.state_dict()
    for name, own in wanted.items():
        value = given.get(name)
        if not isinstance(value, Tensor):
            raise DataError(f"encoder weights {path} have no tensor {name!r}; {_WANTED}")
        if value.shape != own.shape:
            shapes = f"{tuple(value.shape)}, but the encoder's is {tuple(own.shape)}"
            raise DataError(f"{name!r} in the encoder weights {path} has shape {shapes}; {_WANTED}")
        if not value.isfinite().all():
            raise DataError(f"{name!r} in the encoder weights {path} is infinite or not a number; {_WANTED}")
    for name in given:
        if name not in wanted:
            raise DataError(f"encoder weights {path} hold {name!r}, which this encoder lacks; {_WANTED}")
    encoder.load_state_dict(given)


def fetch_encoder(folder: Path, timeout: float = 10.0) -> Path:
    """The public ImageNet weights, downloaded into `folder` if they are not there yet.

    Raises:
        OSError: the address cannot be reached within `timeout` seconds, or the folder cannot be written.
        DataError: something else came than the published file.
    """
    path = folder / _FILE
    if not path.exists():
        with urllib.request.urlopen(URL, timeout=timeout) as response:
            content = response.read()
        if not _is_published(content):
            raise DataError(f"{URL} answered with {len(content)} bytes that are not the published file")
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
    return path


def _is_published(content: bytes) -> bool:
    return hashlib.sha256(content).hexdigest().startswith(_SHA256_START)
