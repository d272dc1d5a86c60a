"""All that comes before the first candidate: data set, static network, cached features, windows to train on.

Each stage is skipped where its result already stands and matches its fingerprint.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, Final, Literal

import torch

from cache.datasets.catalog import BY_NETWORK, open_dataset
from cache.datasets.clips import Dataset, Split
from cache.datasets.moving_stills import MovingStills
from cache.errors import DataError
from cache.extract import ensure_features, features_spec, fingerprint_of
from cache.features import FeatureCache
from cache.images import scaled_size
from cache.static.network import LOW, load_checkpoint
from cache.static.sources import TRUSTED
from nas.networks.class_names import check_classes
from nas.runs.store import read_inputs
from nas.settings.automatic import load_space, require_number
from nas.settings.compute import Compute, resolve, threads_of_worker
from nas.settings.config import DataConfig, SearchConfig
from nas.settings.errors import RunError
from nas.training.candidates.evaluator import EvaluatorSpec
from nas.training.candidates.windows import meta_windows
from nas.training.labels import check_labels, label_weights
from nas.training.static.adopt import adopt_teacher
from nas.training.static.ensure import ensure_static, scores_on, trained_on
from searchspace.space import Space

log = logging.getLogger(__name__)

CACHED: Final[tuple[Split, ...]] = ("train",)
EVER_CACHED: Final[tuple[tuple[Split, ...], ...]] = (CACHED, ("train", "val"))  # earlier versions made both


@dataclass(frozen=True)
class Prepared:
    """Start of a search: data, features and what evaluators are built from."""

    dataset: Dataset
    size: tuple[int, int]
    """Working resolution, height and width."""
    static_facts: dict[str, Any]
    """Scores of the static network on the validation list; none if it was scored on other data or at another size."""
    static_saw: Literal["train", "meta-train"] | None
    """Part of the training list that the static network was trained on; None if that is not known."""
    features: FeatureCache
    evaluator: EvaluatorSpec


def prepare(config: SearchConfig, compute: Compute) -> Prepared:
    """Train or load the static network, make or open its features, and cut the training list into windows.

    Raises:
        DataError: data, weights or a checkpoint are missing or wrong, or the clips are too short for a window.
        OSError: the cache folder cannot be written or the disk is full.
    """
    cache_dir = config.machine.cache
    filmed = data_of(config)
    dataset = with_stills(filmed, config.data)
    size = scaled_size(dataset.size, config.data.scale)
    threads = require_number(config.compute.threads)
    shared = max(threads, threads_of_worker(1))  # until the workers start, all cores are ours
    torch.set_num_threads(min(threads * config.machine.workers, shared))
    [split] = CACHED
    census = check_labels(dataset, cache_dir)[split]
    train, val = meta_windows(dataset, filmed, census, config)
    checkpoint = config.static.checkpoint or ensure_static(config, filmed, cache_dir, compute)
    network, facts = load_checkpoint(checkpoint, classes=len(dataset.classes))
    check_classes(checkpoint, facts, dataset.classes)
    features = ensure_features(
        dataset,
        CACHED,
        network.freeze(),
        size=size,
        directory=cache_dir / "features",
        low=halved_features(config),
        device=compute.device,
        autocast=compute.autocast,
    )
    weighs = _weighs_classes(facts, config)
    evaluator = EvaluatorSpec(
        cache_path=features.path,
        fingerprint=features.fingerprint,
        static_checkpoint=checkpoint,
        classes=len(dataset.classes),
        train_windows=train,
        val_clips=val,
        refresh=require_number(config.data.refresh),
        class_weights=tuple(label_weights(census, set(chain(*train))).tolist()) if weighs else None,
        candidate=config.candidate,
        compute=compute,
        cache_memory=config.machine.cache_memory,
    )
    saw = trained_on(facts, filmed, config.data.meta_val)
    return Prepared(dataset, size, scores_on(facts, dataset, size), saw, features, evaluator)


def with_teacher(config: SearchConfig) -> SearchConfig:
    """Name the checkpoint of the network of one's own that labels a video; other data does not wait for its network.

    Raises:
        DataError: there is no such network, or it breaks the contract.
        OSError: the cache folder cannot be written or the disk is full.
    """
    name = config.static.network
    if name is None or config.data.dataset != BY_NETWORK:
        return config
    checkpoint = adopt_teacher(name, config.machine.cache)
    return replace(config, static=replace(config.static, network=None, checkpoint=checkpoint))


def data_of(config: SearchConfig) -> Dataset:
    """Open the data set of a search, as it was filmed.

    Raises:
        DataError: it is not there; or it is a video that no network labels, or that nothing can be learnt from.
    """
    data, reach = config.data, config.data.reach(require_number(config.data.window))
    network, root = config.static.checkpoint, config.machine.data_root
    return open_dataset(data.dataset, root, reach, network=network, limit=data.limit)


def with_stills(filmed: Dataset, data: DataConfig) -> Dataset:
    """Make a clip of every labelled training frame, as long as windows reach, if the settings say so."""
    if data.moving_stills == "none":
        return filmed
    return MovingStills(filmed, data.reach(require_number(data.window)), beside=data.moving_stills == "beside")


def _weighs_classes(facts: Mapping[str, Any], config: SearchConfig) -> bool:
    """Tell whether a static network's loss weighed classes; one of unknown origin has the recipe at hand."""
    recipe = facts.get("recipe")
    return bool(recipe.get("class_weights") if isinstance(recipe, Mapping) else config.static.class_weights)


def halved_features(config: SearchConfig) -> tuple[str, ...]:
    """Name the features of halved frames that cells of a search may read. Raises SpaceError for an unknown space."""
    return halved_of(load_space(config.space))


def halved_of(space: Space) -> tuple[str, ...]:
    """Name the features of halved frames that cells of a space may read."""
    return tuple(name for name in LOW if name in space.inputs)


def static_of_run(run: Path, config: SearchConfig, dataset: Dataset, cache_dir: Path) -> Path:
    """Find the checkpoint in `cache_dir` whose features the run was computed from; where none is, train it again.

    Settings do not lead to it: those of a training on a GPU mean other weights elsewhere, so that its folder has a name
    that only a GPU would look for. The weights themselves do, as the run keeps the fingerprint of its features.

    Args:
        run: directory of the search.
        config: that it was created with.
        dataset: that it learnt from, as it was filmed.
        cache_dir: that holds static networks.

    Raises:
        DataError: the data or the encoder weights are missing or wrong.
        RunError: there is no such checkpoint, and the search's device, which would train it, is not here.
    """
    bound = read_inputs(run).get("features")
    size, learnt = scaled_size(dataset.size, config.data.scale), with_stills(dataset, config.data)
    low = halved_features(config)
    for path in sorted(cache_dir.glob(f"static/{dataset.name}-*/network.pt")):
        try:
            network, _ = load_checkpoint(path, classes=len(dataset.classes))
        except DataError:  # that of another search; if it is ours, its training will say so
            continue
        made = size, config.compute.precision, low
        specs = [features_spec(learnt, splits, network, *made) for splits in EVER_CACHED]
        if bound in [fingerprint_of(spec) for spec in specs]:
            return path
    if config.static.network is not None:
        raise RunError(
            f"the static network of {run}, which {config.static.network} gave, is not in {cache_dir / 'static'} or may "
            "not be made: copy its folder here, name it with --checkpoint, or, if it is a function that you trust, set "
            f"{TRUSTED}={config.static.network} in the environment"
        )
    try:
        compute = resolve(config.compute)
    except RunError as error:
        raise RunError(
            f"the static network of {run} is not in {cache_dir / 'static'} and cannot be trained as there: {error}; "
            "copy its folder here, or name a network with --checkpoint"
        ) from error
    return ensure_static(config, dataset, cache_dir, compute)
