"""Which static network a search used, on whatever machine its cells are trained further."""

from pathlib import Path

from cache.datasets.clips import Dataset
from cache.errors import DataError
from cache.extract import features_spec, fingerprint_of
from cache.images import scaled_size
from cache.static.network import load_checkpoint
from nas.runs.config import SearchConfig
from nas.runs.config_files import read_mapping
from nas.runs.errors import RunError
from nas.runs.store import INPUTS
from nas.training.compute import resolve
from nas.training.preparation import CACHED
from nas.training.static_training import ensure_static


def static_of_run(run: Path, config: SearchConfig, dataset: Dataset, cache_dir: Path) -> Path:
    """The checkpoint in `cache_dir` whose features the run was computed from; where none is, it is trained again.

    Settings do not lead to it: those of a training on a GPU mean other weights elsewhere, so that its folder has a name
    that only a GPU would look for. The weights themselves do, as the run keeps the fingerprint of its features.

    Args:
        run: directory of the search.
        config: that it was created with.
        dataset: that it learnt from.
        cache_dir: that holds static networks.

    Raises:
        DataError: the data or the encoder weights are missing or wrong.
        RunError: there is no such checkpoint, and the search's device, which would train it, is not here.
    """
    inputs = run / INPUTS
    wanted = read_mapping(inputs).get("features") if inputs.exists() else None
    size = scaled_size(dataset.size, config.data.scale)
    for path in sorted(cache_dir.glob(f"static/{dataset.name}-*/network.pt")):
        try:
            network, _ = load_checkpoint(path, classes=len(dataset.classes))
        except DataError:  # that of another search; if it is ours, its training will say so
            continue
        if fingerprint_of(features_spec(dataset, CACHED, network, size, config.compute.precision)) == wanted:
            return path
    try:
        compute = resolve(config.compute)
    except RunError as error:
        raise RunError(
            f"the static network of {run} is not in {cache_dir / 'static'} and cannot be trained as there: {error}; "
            "copy its folder here, or name a network with --checkpoint"
        ) from error
    return ensure_static(config, dataset, cache_dir, compute)
