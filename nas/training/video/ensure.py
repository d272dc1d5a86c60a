"""The retrained networks of a run: each in a folder of its own, found if it was trained before, else trained.

A folder holds `network.pt`, `last.pt` and `curve.csv` (see `retraining.py`), and in `settings.yaml` all that decides
the result.
"""

import logging
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from cache.atomic import one_builder
from cache.datasets.clips import Dataset, thinned
from cache.frames import LabelledFrames
from cache.static.network import StaticNetwork, load_checkpoint, weights_fingerprint
from nas.networks.heads import build_head
from nas.networks.loading import load_network
from nas.networks.video_network import VideoNetwork, load_video_network
from nas.runs.store import differences
from nas.settings.compute import Compute
from nas.settings.config_files import plain, read_mapping, write_mapping
from nas.settings.errors import RunError
from nas.settings.retrain_config import RetrainConfig
from nas.settings.seeding import stream
from nas.training.losses import class_weights
from nas.training.saved_training import is_unfinished
from nas.training.video.data import VideoData
from nas.training.video.etc_loss import EtcLoss
from nas.training.video.retraining import Retraining
from searchspace.genotype import Genotype

log = logging.getLogger(__name__)


class VideoTraining:
    """Trains networks that shall be compared: by one recipe, on the same windows, from the same static network."""

    def __init__(
        self,
        config: RetrainConfig,
        dataset: Dataset,
        *,
        size: tuple[int, int],
        window: int,
        static_checkpoint: Path,
        cache_dir: Path,
        compute: Compute,
    ) -> None:
        """Read what the networks share.

        Args:
            config: how they learn.
            dataset: what they learn from.
            size: working height and width.
            window: frames.
            static_checkpoint: where all start.
            cache_dir: for optical flow.
            compute: where and how precisely.

        Raises:
            DataError: data, static network or teacher are missing or wrong, or there are no windows.
        """
        self._recipe, self._etc = config.retrain, config.etc
        self._dataset, self._size, self._compute, self._checkpoint = dataset, size, compute, static_checkpoint
        static, _ = self._static()
        teacher = self._etc.distill_from
        self._teacher = None if teacher is None else load_network(teacher, len(dataset.classes))[0]
        flows = cache_dir if self._etc.temporal_loss else None
        self._data = VideoData.of(
            dataset,
            size,
            window,
            flows,
            label_every=self._recipe.label_every,
            checked=self._etc.occlusion == "flow",
        )
        self._weights = None
        if self._recipe.class_weights:
            labelled = LabelledFrames(dataset, thinned(dataset.frames("train"), self._recipe.label_every), size)
            self._weights = class_weights(labelled.class_counts(len(dataset.classes)))
        self._settings = plain(
            {
                "retrain": asdict(self._recipe) | {"window": window},
                "etc": asdict(self._etc) | {"distill_from": teacher and sha256(teacher.read_bytes()).hexdigest()},
                "static": weights_fingerprint(static),
                "data": [dataset.fingerprint(split) for split in ("train", "val")],
                "size": size,
                "compute": f"{compute.device.type} {compute.dtype}",
            }
        )

    def ensure(self, folder: Path, name: str, genotype: Genotype | None, seed: int) -> dict[str, Any]:
        """Train a network unless it stands in `folder`; a training that was stopped goes on from its last validation.

        Args:
            folder: of this network alone.
            name: of the trial or fixed point.
            genotype: of its cell; None for the per-frame network.
            seed: root of the random streams of weights, order and augmentation.

        Returns:
            What is stored with the best checkpoint, its epoch and scores among it.

        Raises:
            RunError: the folder holds a network of other settings.
            NonFiniteError: the training diverged.
            OSError: the folder cannot be written or the disk is full.
        """
        path = folder / "network.pt"
        with one_builder(path):
            self._bind(folder / "settings.yaml", seed)
            if path.exists() and not is_unfinished(folder):
                log.info("%s: %s is trained already", name, path)
            else:
                self._train(folder, name, genotype, seed)
        _, meta = load_video_network(path)
        return meta

    def _train(self, folder: Path, name: str, genotype: Genotype | None, seed: int) -> None:
        static, _ = self._static()
        head = build_head(genotype, static.channels, static.classes, stream(seed, "retraining", "head"))
        head.classifier.load_state_dict(static.classifier.state_dict())
        network, etc = VideoNetwork(static, head), None
        if self._etc.temporal_loss or self._teacher is not None:
            etc = EtcLoss(self._etc, self._teacher, self._compute, stream(seed, "retraining", "etc"))
        facts = {
            "name": name,
            "dataset": self._dataset.name,
            "classes": self._dataset.classes,
            "colours": self._dataset.colours,
            "size": self._size,
            "seed": seed,
        }
        Retraining(self._recipe, network, self._data, self._compute, seed, self._weights, etc).run(folder, facts)

    def _static(self) -> tuple[StaticNetwork, dict[str, Any]]:
        return load_checkpoint(self._checkpoint, classes=len(self._dataset.classes))

    def _bind(self, path: Path, seed: int) -> None:
        """Note the settings of a training, or check that they are what they were."""
        settings = self._settings | {"seed": seed}
        if not path.exists():
            write_mapping(path, settings)
        elif changes := differences(read_mapping(path), settings):
            way_out = "Call the networks of the new settings something else with --label NAME, or remove the folder."
            raise RunError("\n".join([f"{path.parent} holds a network of other settings:", *changes, way_out]))
