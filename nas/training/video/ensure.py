"""The retrained networks of a run: each in a folder of its own, found if it was trained before, else trained.

A folder holds `network.pt` and `curve.csv` (see `retraining.py`), and in `settings.yaml` all that decides the result.
"""

import copy
import logging
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import torch

from cache.atomic import one_builder
from cache.static.network import load_checkpoint, weights_fingerprint
from nas.evaluation.network_cost import count_costs
from nas.networks.heads import head_on
from nas.networks.loading import load_network
from nas.networks.video_network import VideoNetwork, load_video_network, on_every_frame, save_video_network
from nas.runs.store import differences
from nas.settings.compute import Compute
from nas.settings.config_files import overlay, read_mapping, write_mapping
from nas.settings.errors import RunError
from nas.settings.older_files import RETRAINED_BEFORE
from nas.settings.retrain_config import RetrainConfig
from nas.settings.seeding import stream
from nas.training.candidates.clips import Clips
from nas.training.candidates.teaching import Teaching
from nas.training.saved_training import BEST, SavedTraining, is_unfinished
from nas.training.video.etc_loss import temporal_terms
from nas.training.video.inputs import VideoInputs
from nas.training.video.retraining import Retraining
from nas.training.video.teacher import Teacher
from searchspace.genotype import Genotype

log = logging.getLogger(__name__)

UNTRAINED: Final = ("static", "data", "size", "compute")  # what decides the scores of a network that is not trained


class VideoTraining:
    """Trains networks that shall be compared: by one recipe, on the same windows, from the same static network."""

    def __init__(self, config: RetrainConfig, inputs: VideoInputs, compute: Compute) -> None:
        """Take what the networks share.

        Args:
            config: how they learn.
            inputs: what they learn from.
            compute: device and precision.
        """
        self._config, self._inputs, self._compute = config, inputs, compute

    def ensure(
        self, folder: Path, name: str, genotype: Genotype | None, seed: int, start: Path | None = None
    ) -> dict[str, Any]:
        """Train a network unless it stands in `folder`; a training that was stopped goes on from its last validation.

        Args:
            folder: folder of this network alone.
            name: name of the trial or fixed point.
            genotype: genotype of its cell; None for the per-frame network.
            seed: root of the random streams of weights, order and augmentation.
            start: file of the same network, trained on other data, to go on from; None starts from the static network.

        Returns:
            What is stored with the best checkpoint, its epoch and scores among it; with a `start` also `before`, the
            mIoU, or agreement, that it had on these data; and `relative_macs`, as it is counted.

        Raises:
            RunError: the folder holds a network of other settings; or cached features do not fit the network.
            NonFiniteError: the training diverged.
            OSError: the folder cannot be written or the disk is full.
        """
        path = folder / BEST
        with one_builder(path):
            origin = {} if start is None else {"start": sha256(start.read_bytes()).hexdigest()}
            self._bind(folder / "settings.yaml", {**self._inputs.identity, "seed": seed, **origin})
            if path.exists() and not is_unfinished(folder):
                log.info("%s: %s is trained already", name, path)
            else:
                self._train(folder, name, genotype, seed, start)
        return self._found(path)

    def ensure_static(self, folder: Path, name: str) -> dict[str, Any]:
        """Score the static network as it is and store it as one that labels every frame, unless it stands in `folder`.

        Args:
            folder: folder of this network alone.
            name: name of the fixed point.

        Returns:
            What is stored with it: epoch 0, and its scores; and `relative_macs`, which are 1.

        Raises:
            RunError: the folder holds another network.
            OSError: the folder cannot be written or the disk is full.
        """
        path = folder / BEST
        with one_builder(path):
            self._bind(folder / "settings.yaml", {part: self._inputs.identity[part] for part in UNTRAINED})
            if not path.exists() or is_unfinished(folder):
                self._score_static(path, name)
        return self._found(path)

    def _found(self, path: Path) -> dict[str, Any]:
        network, meta = load_video_network(path)
        return {**meta, "relative_macs": count_costs(network, self._inputs.size)["relative_macs"]}

    def _score_static(self, path: Path, name: str) -> None:
        inputs, compute = self._inputs, self._compute
        static, _ = load_checkpoint(inputs.static_checkpoint, classes=len(inputs.dataset.classes))
        network = on_every_frame(static).to(compute.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        saved = SavedTraining(path.parent, name, {})
        if not saved.curve:  # else an earlier process was stopped when it had scored
            saved.add(0, inputs.data.score(network, compute))
            saved.save()
        save_video_network(path, network, {"name": name, "seed": 0, **inputs.facts, **saved.curve[0]})
        saved.finish()

    def _train(self, folder: Path, name: str, genotype: Genotype | None, seed: int, start: Path | None) -> None:
        inputs, config, facts = self._inputs, self._config, {}
        if start is None:
            network = self._untrained(genotype, seed)
        else:
            network, _ = load_network(start, len(inputs.dataset.classes), inputs.refresh)
            network.to(self._compute.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            facts = {"before": inputs.data.score(network, self._compute)["miou"]}
        etc = None
        if config.etc.temporal_loss or config.etc.distill_from is not None:
            etc = temporal_terms(config.etc, self._compute, stream(seed, "retraining", "etc"))
        teacher = None if inputs.teacher is None else Teacher(inputs.teacher, self._compute)
        training = Retraining(
            *(config.retrain, network, inputs.data, self._compute, seed, inputs.class_weights, etc, teacher),
            on_features=self._on_features(network),
        )
        training.run(folder, {"name": name, "seed": seed} | inputs.facts | facts)

    def _on_features(self, network: VideoNetwork) -> Teaching | None:
        """Make the loss by which a head learns alone from cached features, if it shall; the static network teaches."""
        inputs, compute = self._inputs, self._compute
        if inputs.features is None:
            return None
        if absent := network.head.needs - inputs.features.arrays.keys():
            raise RunError(f"the cell reads {', '.join(sorted(absent))}, which is not cached; use --alone-on images")
        if weights_fingerprint(network.static) != inputs.identity["static"]:
            raise RunError("the cached features are of another static network than this one's; use --alone-on images")
        classifier = copy.deepcopy(network.static.classifier).to(compute.device)  # the per-frame network's own learns
        weights = None if inputs.class_weights is None else inputs.class_weights.to(compute.device)
        return Teaching(Clips(inputs.features, compute, "auto"), classifier, self._config.retrain, weights)

    def _untrained(self, genotype: Genotype | None, seed: int) -> VideoNetwork:
        """Make a network out of the static one, its classifier, and a head with random weights."""
        static, _ = load_checkpoint(self._inputs.static_checkpoint, classes=len(self._inputs.dataset.classes))
        head = head_on(static, genotype, stream(seed, "retraining", "head"))
        return VideoNetwork(static, head, self._inputs.refresh)

    def _bind(self, path: Path, settings: Mapping[str, Any]) -> None:
        """Note the settings of a training, or check that they are what they were."""
        if not path.exists():
            write_mapping(path, settings)
        elif changes := differences(overlay([RETRAINED_BEFORE, read_mapping(path)]), settings):
            way_out = "Call the networks of the new settings something else with --label NAME, or remove the folder."
            raise RunError("\n".join([f"{path.parent} holds a network of other settings:", *changes, way_out]))
