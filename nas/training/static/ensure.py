"""The static network of a configuration: one's own, or found if it was trained before, else trained."""

import hashlib
import http.client
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

from cache.atomic import one_builder
from cache.datasets.catalog import MADE_UP
from cache.datasets.clips import Dataset, Frame, meta_split
from cache.datasets.files import labelled_fingerprint
from cache.errors import DataError
from cache.frames import LabelledFrames
from cache.images import scaled_size
from cache.static.encoder_weights import fetch_encoder
from cache.static.encoders import ENCODERS, FIRST, find_encoder
from cache.static.extra import HUB
from cache.static.network import load_checkpoint
from nas.settings.compute import Compute
from nas.settings.config import PretrainConfig
from nas.settings.errors import NonFiniteError, RunError
from nas.training.saved_training import BEST, is_unfinished
from nas.training.static.adopt import adopt
from nas.training.static.pretraining import Pretraining
from nas.training.validation_list import check_readable

log = logging.getLogger(__name__)


def ensure_static(config: PretrainConfig, dataset: Dataset, cache_dir: Path, compute: Compute) -> Path:
    """Train the static network unless it stands in `cache_dir`, and return its checkpoint.

    A training that was stopped goes on from its last validation. Networks of different recipes, data, sizes, seeds,
    encoders and their weights or precisions live in different folders and never replace each other. A network of one's
    own is not trained.

    Raises:
        DataError: the data or the encoder weights are missing or wrong, or the network of one's own does not fit.
        RunError: the training diverged.
        OSError: the folder cannot be written or the disk is full.
    """
    if config.static.network is not None:
        return adopt(config.static.network, dataset, scaled_size(dataset.size, config.data.scale), cache_dir)
    name, encoder = _encoder(config, cache_dir)
    config = replace(config, static=replace(config.static, encoder=name))
    facts = _identity(config, dataset, encoder, compute)
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    folder = cache_dir / "static" / f"{dataset.name}-{digest}"
    path = folder / BEST
    with one_builder(path):
        if not _is_finished(path):
            _train(config, dataset, encoder, compute, folder, facts)
    return path


def scores_on(facts: Mapping[str, Any], dataset: Dataset, size: tuple[int, int]) -> dict[str, Any]:
    """Select the scores of a static network that were measured on a data set's validation list, as it is now.

    Args:
        facts: facts stored with the network.
        dataset: data whose validation list is meant.
        size: working height and width.

    Returns:
        `miou`, `fwiou` and `mean_accuracy`; nothing where the facts tell of another list or size, or do not tell.
    """
    *_, val = facts.get("splits") or [None]
    if val != labelled_fingerprint(dataset, "val") or list(facts.get("size") or ()) != list(size):
        log.info("what the static network scored elsewhere is not quoted: it was not measured on this validation list")
        return {}
    return {name: facts[name] for name in ("miou", "fwiou", "mean_accuracy") if name in facts}


def trained_on(facts: Mapping[str, Any], dataset: Dataset, meta_val: float) -> Literal["train", "meta-train"] | None:
    """Tell what part of a data set's training list a static network has seen, by the facts stored with it.

    Args:
        facts: facts stored with the network.
        dataset: data whose training list is meant, as it was filmed.
        meta_val: share of the list that is held out as meta-val.

    Returns:
        None where the facts tell of another list or another share, or do not tell.
    """
    recipe, (seen, *_) = facts.get("recipe"), facts.get("splits") or [None]
    part = recipe.get("train_on") if isinstance(recipe, Mapping) else None
    if part == "train" and seen == labelled_fingerprint(dataset, "train"):
        return "train"
    if part == "meta-train" and seen == dataset.fingerprint("train") and facts.get("meta_val") == meta_val:
        return "meta-train"
    return None


def training_frames(config: PretrainConfig, dataset: Dataset) -> tuple[Frame, ...]:
    """Take the whole training list, or its meta-train part where the static network shall not see meta-val."""
    frames = dataset.frames("train")
    if config.static.train_on == "train":
        return frames
    positions, _ = meta_split(frames, config.data.meta_val)
    return tuple(frames[position] for position in positions)


def _is_finished(path: Path) -> bool:
    if not path.exists() or is_unfinished(path.parent):
        return False
    try:
        _, meta = load_checkpoint(path)
    except DataError as error:
        log.warning("%s; training it again", error)
        return False
    log.info("static network: %s, mIoU %.2f", path, 100 * meta["miou"])
    return True


def _train(
    config: PretrainConfig,
    dataset: Dataset,
    encoder: Path | None,
    compute: Compute,
    folder: Path,
    facts: dict[str, Any],
) -> None:
    size, epochs = scaled_size(dataset.size, config.data.scale), config.static.epochs
    train = LabelledFrames(dataset, training_frames(config, dataset), size)
    val = LabelledFrames(dataset, dataset.frames("val"), size)
    check_readable(val)
    log.info("static network: %d epochs over %d frames of %dx%d in %s", epochs, len(train), *size, folder)
    training = Pretraining(config.static, train, val, len(dataset.classes), compute, config.seed, encoder)
    try:
        training.run(folder, {**facts, "colours": dataset.colours})  # for overlays; no weight depends on them
    except NonFiniteError as error:
        raise RunError(
            f"training the static network diverged ({error}); lower --static.encoder-rate or --static.decoder-rate"
        ) from error


def _identity(config: PretrainConfig, dataset: Dataset, encoder: Path | None, compute: Compute) -> dict[str, Any]:
    """List all that the weights depend on, JSON-able."""
    recipe = asdict(config.static)
    del recipe["checkpoint"], recipe["encoder_weights"], recipe["network"]
    if recipe["encoder"] == FIRST:
        del recipe["encoder"]  # as in networks from before there was a choice, which stay valid
    return {
        "dataset": dataset.name,
        "classes": dataset.classes,
        "splits": [_seen(config, dataset), labelled_fingerprint(dataset, "val")],
        "size": scaled_size(dataset.size, config.data.scale),
        "meta_val": config.data.meta_val if config.static.train_on == "meta-train" else None,
        "recipe": recipe,
        "encoder": hashlib.sha256(encoder.read_bytes()).hexdigest() if encoder else None,
        "seed": config.seed,
        "compute": compute.kind,
    }


def _seen(config: PretrainConfig, dataset: Dataset) -> str:
    """Fingerprint of the training list as far as it matters: frames without a label say where meta-val begins."""
    whole = config.static.train_on == "meta-train"
    return dataset.fingerprint("train") if whole else labelled_fingerprint(dataset, "train")


def _encoder(config: PretrainConfig, cache_dir: Path) -> tuple[str, Path | None]:
    """Find the encoder by the name that files store, and its weights; None to start from random ones."""
    name, weights = find_encoder(config.static.encoder)
    if not name.startswith(HUB):
        return name, _encoder_weights(config, cache_dir)
    if weights is None:
        log.warning(
            "%s comes without weights as safetensors: training starts from scratch and will score much lower",
            config.static.encoder,
        )
    return name, weights


def _encoder_weights(config: PretrainConfig, cache_dir: Path) -> Path | None:
    """Find a file with the encoder's weights, or None to start from random ones."""
    given, published = config.static.encoder_weights, ENCODERS[config.static.encoder].published
    if given is not None:
        if not given.is_file():
            where = f"; get them from {published.url}" if published else ""
            raise DataError(f"there are no encoder weights at {given}{where}")
        return given
    if published is None or config.data.dataset in MADE_UP:
        return None
    try:
        return fetch_encoder(published, cache_dir / "weights")
    except (OSError, http.client.HTTPException, DataError) as error:
        log.warning(
            "no ImageNet weights for the encoder (%s): training starts from scratch and will score much lower; "
            "get %s elsewhere and name it with --encoder-weights",
            *(error, published.url),
        )
        return None
