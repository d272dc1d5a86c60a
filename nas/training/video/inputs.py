"""VideoInputs: what the networks of one retraining share, read and checked before the first of them is trained."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from torch import Tensor

from cache.datasets.census import Census
from cache.datasets.clips import Dataset, thin_labels
from cache.errors import DataError
from cache.extract import ensure_features
from cache.features import FeatureCache
from cache.shipped import find
from cache.static.network import StaticNetwork, load_checkpoint, weights_fingerprint
from nas.networks.class_names import check_classes
from nas.networks.loading import load_network
from nas.networks.video_network import VideoNetwork, on_every_frame
from nas.settings.compute import Compute
from nas.settings.config_files import to_plain
from nas.settings.retrain_config import RecipeConfig, RetrainConfig
from nas.training.labels import label_weights
from nas.training.validation_list import check_readable
from nas.training.video.data import VideoData

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class VideoInputs:
    """Data, static network and teacher that video networks start and learn from."""

    dataset: Dataset
    size: tuple[int, int]
    """Working height and width."""
    static_checkpoint: Path
    """File of the static network that all start from."""
    data: VideoData
    class_weights: Tensor | None
    """Weights of the classes in the loss, (classes,); None weighs all alike."""
    teacher: VideoNetwork | None
    """Network whose outputs are imitated or distilled: another one, or the static one as it is."""
    refresh: int
    """Frames from one key frame to the next in use and validation; a window has its own first frame for one."""
    identity: Mapping[str, Any]
    """Settings and fingerprints that decide a network, beside its genotype and its seed."""
    features: FeatureCache | None = None
    """Cached features of the training list, from which cells learn alone; None where they learn from images."""
    adapted: bool = False
    """Say of the networks that the data are another video than those of their search."""

    @property
    def facts(self) -> dict[str, Any]:
        """Facts to store with each network, JSON-able."""
        return {
            "dataset": self.dataset.name,
            "classes": self.dataset.classes,
            "colours": self.dataset.colours,
            "size": self.size,
            "splits": self.identity["data"],
        } | ({"adapted": True} if self.adapted else {})


def read_inputs(
    config: RetrainConfig,
    dataset: Dataset,
    census: Census,
    *,
    size: tuple[int, int],
    window: int,
    gaps: Sequence[int] = (1,),
    refresh: int,
    static_checkpoint: Path,
    cache_dir: Path,
    low: Collection[str] = (),
    adapted: bool = False,
    compute: Compute,
) -> VideoInputs:
    """Read all that the networks of a retraining share.

    Args:
        config: how they learn.
        dataset: what they learn from.
        census: counts of its training labels.
        size: working height and width.
        window: number of frames in a window.
        gaps: gaps between its frames, in multiples of the clips' own.
        refresh: frames from one key frame to the next, where networks run over clips; 0 has none after the first.
        static_checkpoint: file of the static network that all start from.
        cache_dir: folder for optical flow and features.
        low: names of features of halved frames that are cached beside those of whole ones.
        adapted: say of the networks that the data are another video than those of their search.
        compute: device and precision.

    Raises:
        DataError: data, static network or teacher are missing or wrong or of other classes, or there are no windows.
        OSError: the cache folder cannot be written or the disk is full.
    """
    recipe, etc = config.retrain, config.etc
    static, facts = load_checkpoint(static_checkpoint, classes=len(dataset.classes))
    check_classes(static_checkpoint, facts, dataset.classes)
    teacher = None if etc.distill_from is None else _teacher(etc.distill_from, dataset)
    if teacher is None and recipe.imitates:
        teacher = on_every_frame(static)
    warn_of_width(teacher, static, recipe)
    data = VideoData.of(
        *(dataset, size, window, cache_dir if etc.temporal_loss else None),
        gaps=gaps,
        unlabelled=recipe.imitates,
        label_every=recipe.label_every,
        checked=etc.occlusion == "flow",
    )
    check_readable(data.val)
    identity = {
        **_recipe_of(config, window, gaps, refresh),
        "static": weights_fingerprint(static),
        "data": [dataset.fingerprint(split) for split in ("train", "val")],
        "size": size,
        "compute": compute.kind,
    }
    labelled = _labels_learnt_from(census, recipe)
    weights = label_weights(census, labelled) if recipe.class_weights else None
    on_features = recipe.alone_on == "features" and recipe.head_epochs > 0
    features = _features(dataset, static, size, cache_dir, low, compute) if on_features else None
    return VideoInputs(
        *(dataset, size, static_checkpoint, data, weights, teacher, refresh, to_plain(identity), features, adapted)
    )


def _labels_learnt_from(census: Census, recipe: RecipeConfig) -> list[int]:
    """List the frames whose labels are learnt from. Raises DataError if nothing teaches."""
    learnt = thin_labels(census.frames, recipe.label_every)
    labelled = [place for place, frame in enumerate(learnt) if frame.labelled]
    if not labelled and not recipe.imitates:
        raise DataError(
            f"--label-every {recipe.label_every} leaves no label to learn from, as no clip is so long; "
            "take fewer away, or imitate the static network (--logit-weight 1)"
        )
    return labelled


def _recipe_of(config: RetrainConfig, window: int, gaps: Sequence[int], refresh: int) -> dict[str, Any]:
    """Say how networks learn, as far as it decides what becomes of them: the settings, and the teacher by its file."""
    recipe, teacher = asdict(config.retrain), config.etc.distill_from
    digest = teacher and sha256(find(teacher).read_bytes()).hexdigest()
    return {
        "retrain": recipe | {"window": window, "gaps": tuple(gaps)} | ({"refresh": refresh} if refresh else {}),
        "etc": asdict(config.etc) | {"distill_from": digest},
    }


def warn_of_width(teacher: VideoNetwork | None, static: StaticNetwork, recipe: RecipeConfig) -> None:
    """Say in the log if there is a weight on imitating a `dec` that cannot be compared."""
    if teacher is None or recipe.dec_weight == 0:
        return
    theirs, ours = teacher.static.channels["dec"], static.channels["dec"]
    if theirs != ours:
        log.warning(
            "--dec-weight %g counts for nothing: the teacher's `dec` has %d channels and the network's %d, so that it "
            "teaches its class probabilities alone, by --logit-weight %g",
            *(recipe.dec_weight, theirs, ours, recipe.logit_weight),
        )


def _features(
    dataset: Dataset,
    static: StaticNetwork,
    size: tuple[int, int],
    cache_dir: Path,
    low: Collection[str],
    compute: Compute,
) -> FeatureCache:
    """Make or open the features of the training list, the search's own if it learnt from the same frames."""
    return ensure_features(
        *(dataset, ("train",), static.freeze()),
        size=size,
        directory=cache_dir / "features",
        low=low,
        device=compute.device,
        autocast=compute.autocast,
    )


def _teacher(path: Path, dataset: Dataset) -> VideoNetwork:
    network, facts = load_network(path, len(dataset.classes))
    check_classes(path, facts, dataset.classes)
    return network
