"""ImageNet weights of an encoder, by the names of its own tensors: loaded strictly, or fetched from where they are."""

import hashlib
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from cache.atomic import atomic_path
from cache.errors import DataError
from cache.static.encoder import Encoder, PublishedWeights
from cache.tensor_files import load_tensors


def load_encoder(encoder: Encoder, path: Path) -> None:
    """Load weights of any floating type into `encoder`; only what the published file has too many may be left over.

    Raises:
        DataError: no such file, no plain tensors, or a key or a shape that does not fit, the first of which is named;
            or it has the published file's name and other bytes.
    """
    content, published = load_tensors(path), encoder.published
    if published and path.name == published.file and not _is_published(path.read_bytes(), published):
        again = f"get it again from {published.url}"
        raise DataError(f"encoder weights {path} are damaged: they are not the published file; {again}")
    unused = published.unused if published else ()
    given = {name: value for name, value in content.items() if not name.startswith(unused)}
    _check_fit(given, encoder, path)
    encoder.load_state_dict(given)


def _check_fit(given: Mapping[str, object], encoder: Encoder, path: Path) -> None:
    """Raise DataError for the first tensor that is missing, of another shape, no numbers, or too many."""
    hint = f"; such weights are at {encoder.published.url}" if encoder.published else ""
    wanted = encoder.state_dict()
    for name, own in wanted.items():
        value = given.get(name)
        if not isinstance(value, Tensor):
            raise DataError(f"encoder weights {path} have no tensor {name!r}{hint}")
        if value.shape != own.shape:
            shapes = f"{tuple(value.shape)}, but the encoder's is {tuple(own.shape)}"
            raise DataError(f"{name!r} in the encoder weights {path} has shape {shapes}{hint}")
        if not value.isfinite().all():
            raise DataError(f"{name!r} in the encoder weights {path} is infinite or not a number{hint}")
    for name in given:
        if name not in wanted:
            raise DataError(f"encoder weights {path} hold {name!r}, which this encoder lacks{hint}")


def fetch_encoder(published: PublishedWeights, folder: Path, timeout: float = 10.0) -> Path:
    """Download published weights into `folder` if they are not there yet, and return their file.

    Raises:
        OSError: the address cannot be reached within `timeout` seconds, or the folder cannot be written.
        DataError: something else came than the published file.
    """
    path = folder / published.file
    if not path.exists():
        with urllib.request.urlopen(published.url, timeout=timeout) as response:
            content = response.read()
        if not _is_published(content, published):
            raise DataError(f"{published.url} answered with {len(content)} bytes that are not the published file")
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
    return path


def _is_published(content: bytes, published: PublishedWeights) -> bool:
    return hashlib.sha256(content).hexdigest().startswith(published.sha256_start)
