"""A trained network of one's own as a static network: checked against the data, and kept as a checkpoint."""

import logging
from pathlib import Path
from typing import Any

from cache.atomic import one_builder
from cache.datasets.catalog import BY_NETWORK
from cache.datasets.clips import Dataset
from cache.datasets.palette import made_up_colours
from cache.errors import DataError
from cache.static.network import StaticNetwork, save_checkpoint, weights_fingerprint
from cache.static.own import OwnNetwork
from cache.static.sources import open_own
from nas.networks.class_names import check_classes, numbered

log = logging.getLogger(__name__)


def adopt(name: str, dataset: Dataset, size: tuple[int, int], cache_dir: Path) -> Path:
    """Store a trained network as a static one, under its weights, unless it stands there, and return its checkpoint.

    Args:
        name: `hf:NAME_OR_FOLDER` or `package.module:function`.
        dataset: whose classes it must have.
        size: working height and width.
        cache_dir: folder for static networks.

    Raises:
        DataError: there is no such network, it breaks the contract, or it has other classes than the data.
        OSError: the folder cannot be written or the disk is full.
    """
    own, count = open_own(name), len(dataset.classes)
    found = own.classifier.out_channels
    if found != count:
        raise DataError(
            f"{name} has {found} classes, but {dataset.name} has {count}; give one that was trained on these"
        )
    facts = {"dataset": dataset.name, "size": size, "classes": _classes(own), "colours": dataset.colours}
    if own.classes:
        check_classes(Path(name), facts, dataset.classes)
    return _keep(name, own, cache_dir / "static", f"-{size[0]}x{size[1]}", facts)


def adopt_teacher(name: str, cache_dir: Path) -> Path:
    """Store a trained network as `adopt` does, for a video without masks, whose classes are then the network's."""
    own = open_own(name)
    facts = {"dataset": BY_NETWORK, "classes": _classes(own), "colours": made_up_colours(own.classifier.out_channels)}
    return _keep(name, own, cache_dir / "static", "", facts)


def _classes(own: OwnNetwork) -> list[str]:
    return list(own.classes) or numbered(own.classifier.out_channels)


def _keep(name: str, own: OwnNetwork, folder: Path, variant: str, facts: dict[str, Any]) -> Path:
    """Write the checkpoint of a network unless it is there. `variant` tells apart those of the same weights."""
    network = StaticNetwork(own.classifier.out_channels, own=own).freeze()
    path = folder / f"{facts['dataset']}-own-{weights_fingerprint(network)[:16]}{variant}/network.pt"
    with one_builder(path):
        if not path.exists():
            save_checkpoint(path, network, {"network": name, **facts})
    log.info("static network: %s, as it is, in %s", name, path)
    return path
