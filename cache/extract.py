"""Clips through the frozen static network into the feature cache, once."""

import contextlib
import hashlib
import json
import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from cache.atomic import one_builder
from cache.datasets.clips import VOID, Dataset, Frame, Split
from cache.errors import DataError
from cache.features import FeatureCache, Spec
from cache.frames import network_input
from cache.images import resize_label
from cache.sealed import CacheMismatch
from cache.static.network import FEATURES, LOW, StaticNetwork, weights_fingerprint

Autocast = Callable[[], AbstractContextManager[Any]]
FRAMES_AT_ONCE: Final = 8  # frames; more gains nothing, and eight of 2048x1024 fit on a small GPU

log = logging.getLogger(__name__)


def ensure_features(
    dataset: Dataset,
    splits: Sequence[Split],
    network: StaticNetwork,
    *,
    size: tuple[int, int],
    directory: Path,
    low: Collection[str] = (),
    device: torch.device | str = "cpu",
    autocast: Autocast = contextlib.nullcontext,
) -> FeatureCache:
    """Open the features of all frames of `splits`, making them first where they are absent or refused.

    One log line says why they are made. Of several processes that need the same features, one makes them and the
    others wait for it.

    Args:
        dataset: the clips; frames without a label get one that is void everywhere.
        splits: whose frames follow one another in the cache.
        network: frozen; it is moved to `device`.
        size: height and width that the network works at.
        directory: for the file `<data set>-<height>x<width>-<fingerprint>.h5`.
        low: names of features of halved frames that are kept beside those of whole ones, from `LOW`.
        device: to compute on.
        autocast: makes the precision context of the forward pass.

    Raises:
        DataError: there are no frames, a frame or label cannot be read, or a feature does not fit float16.
        OSError: the directory cannot be written or the disk is full; nothing is left behind.
    """
    if network.training:
        raise ValueError("features need a network that stays as it is, but it is in train mode; call freeze()")
    device = torch.device(device)
    spec = features_spec(dataset, splits, network, size, _precision(device, autocast), low)
    fingerprint = fingerprint_of(spec)
    path = directory / f"{dataset.name}-{size[0]}x{size[1]}-{fingerprint[:12]}.h5"
    with contextlib.suppress(FileNotFoundError, CacheMismatch):
        return FeatureCache.open(path, fingerprint)
    with one_builder(path):
        try:
            return FeatureCache.open(path, fingerprint)  # by the process that this one has waited for
        except FileNotFoundError:
            log.info("making the features %s: %s", path, _why_absent(path))
        except CacheMismatch as error:
            log.warning("making the features %s again: the file there is refused, %s", path, error)
        start = time.monotonic()
        frames = [frame for split in splits for frame in dataset.frames(split)]
        if not frames:
            raise DataError(f"the data set {dataset.name} has no frames in {', '.join(splits)}; add clips to it")
        names = (*FEATURES, *(name for name in LOW if name in low))
        records = _records(dataset, frames, network.to(device), names, size, device, autocast)
        FeatureCache.build(path, fingerprint, spec, [frame.name for frame in frames], records)
        cache = FeatureCache.open(path, fingerprint)
        megabytes = path.stat().st_size / 1e6
        log.info("made the features of %d frames in %.0f s, %.0f MB", len(frames), time.monotonic() - start, megabytes)
        return cache


def features_spec(
    dataset: Dataset,
    splits: Sequence[Split],
    network: StaticNetwork,
    size: tuple[int, int],
    precision: str,
    low: Collection[str] = (),
) -> Spec:
    """Collect all that the content of a cache depends on, as JSON; features of halved frames where there are any."""
    whole = {
        "data set": dataset.name,
        "frames": [[split, dataset.fingerprint(split)] for split in splits],
        "network": weights_fingerprint(network),
        "size": list(size),
        "precision": precision,
    }
    return whole | ({"low": sorted(low)} if low else {})


def fingerprint_of(spec: Spec) -> str:
    """Compute the SHA-256 of a spec in canonical JSON, in hexadecimal digits."""
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()


def _records(
    dataset: Dataset,
    frames: Sequence[Frame],
    network: StaticNetwork,
    names: Collection[str],
    size: tuple[int, int],
    device: torch.device,
    autocast: Autocast,
) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield features and labels of a few frames at a time, in the layouts of `FeatureCache.arrays`."""
    with tqdm(total=len(frames), desc="features", unit="frame", disable=None) as progress:
        for start in range(0, len(frames), FRAMES_AT_ONCE):
            batch = frames[start : start + FRAMES_AT_ONCE]
            images = network_input([dataset.image(frame) for frame in batch], size, device)
            with torch.inference_mode(), autocast():
                features = network.features(images, names)
            record = {name: _stored(tensor) for name, tensor in features.items()}
            labels = [_label(dataset, frame) for frame in batch]
            eighth = record["layer2"].shape[1], record["layer2"].shape[2]
            record["label8"] = np.stack([resize_label(label, eighth) for label in labels])
            record["label"] = np.stack([resize_label(label, size) for label in labels])
            yield record
            progress.update(len(batch))


def _stored(tensor: Tensor) -> NDArray[np.float16]:
    array: NDArray[np.float16] = tensor.permute(0, 2, 3, 1).to(torch.float16).contiguous().cpu().numpy()
    return array


def _label(dataset: Dataset, frame: Frame) -> NDArray[np.uint8]:
    return dataset.label(frame) if frame.labelled else np.full(dataset.size, VOID, np.uint8)


def _precision(device: torch.device, autocast: Autocast) -> str:
    """Name the type that convolutions get in the context."""
    with autocast():
        on = torch.is_autocast_enabled(device.type)
        return str(torch.get_autocast_dtype(device.type) if on else torch.float32).removeprefix("torch.")


def _why_absent(path: Path) -> str:
    """Say of what the features beside `path` are, as their names begin alike as far as they agree with it."""
    name, size, _ = path.name.rsplit("-", 2)
    if any(path.parent.glob(f"{name}-{size}-*.h5")):
        return "those there of this size are of another network or precision, or of other frames"
    if any(path.parent.glob(f"{name}-*.h5")):
        return "those there are of another size or of other data"
    return "there are none yet"
