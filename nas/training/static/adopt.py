"""A trained network of one's own as the static network of a data set: checked against it, and kept as a checkpoint."""

import logging
from pathlib import Path

from cache.atomic import one_builder
from cache.datasets.clips import Dataset
from cache.errors import DataError
from cache.static.network import StaticNetwork, save_checkpoint, weights_fingerprint
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
    classes = list(own.classes) or numbered(count)
    if own.classes:
        check_classes(Path(name), {"classes": classes}, dataset.classes)
    network = StaticNetwork(count, own=own).freeze()
    path = (
        cache_dir / "static" / f"{dataset.name}-own-{weights_fingerprint(network)[:16]}-{size[0]}x{size[1]}/network.pt"
    )
    with one_builder(path):
        if not path.exists():
            facts = {"network": name, "dataset": dataset.name, "size": size, "classes": classes}
            save_checkpoint(path, network, facts | {"colours": dataset.colours})
    log.info("static network: %s, as it is, in %s", name, path)
    return path
