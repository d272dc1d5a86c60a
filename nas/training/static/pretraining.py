"""Pre-training of the static network on single frames: poly schedule, auxiliary losses, the best checkpoint by mIoU.

The folder of a training is named after all that decides its result. `network.pt` there is the best network so far.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, AdamW, Optimizer
from tqdm import tqdm

from cache.errors import DataError
from cache.frames import LabelledFrames
from cache.static.encoders import start_from
from cache.static.network import StaticNetwork, save_checkpoint
from nas.evaluation.metrics import ConfusionMatrix
from nas.networks.logits import classes_of, upsampled
from nas.settings.compute import Compute
from nas.settings.config import StaticConfig
from nas.settings.seeding import stream
from nas.training.augmentation import augment
from nas.training.fit import fit
from nas.training.losses import class_weights, cross_entropy
from nas.training.optimizers import MOMENTUM, poly
from nas.training.saved_training import BEST, SavedTraining, Stateful

log = logging.getLogger(__name__)

LabelledImages = tuple[Tensor, Tensor]  # as `LabelledFrames.batch` gives them


class Pretraining:
    """One training, from scratch or from where it was stopped; resumed or not, the result is the same bit for bit."""

    def __init__(
        self,
        config: StaticConfig,
        train: LabelledFrames,
        val: LabelledFrames,
        classes: int,
        compute: Compute,
        seed: int,
        encoder: Path | None,
    ) -> None:
        """Make the network and its optimiser.

        Args:
            config: the recipe.
            train: frames to learn from.
            val: frames that decide which epoch's network is kept.
            classes: number of classes of the labels.
            compute: where and how precisely.
            seed: root of the random streams of initial weights, order and augmentation.
            encoder: ImageNet weights; None for random ones.

        Raises:
            DataError: the encoder weights do not fit.
        """
        self._config, self._train, self._val, self._compute, self._seed = config, train, val, compute, seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream(seed, "static", "weights"))
            self._network = StaticNetwork(classes, config.auxiliary_weight > 0, config.encoder)
        if encoder is not None:
            start_from(self._network.encoder, config.encoder, encoder)
        self._network.to(compute.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._optimizer = _optimizer(config, self._network)
        self._steps = max(1, len(train) // config.batch)  # the last, incomplete batch of an epoch is left out
        self._scheduler = poly(self._optimizer, config.epochs * self._steps)
        self._weights = None
        if config.class_weights:
            self._weights = class_weights(train.class_counts(classes)).to(compute.device)

    def run(self, folder: Path, meta: dict[str, Any]) -> None:
        """Train to the end, leaving `network.pt` and `curve.csv` in `folder`.

        Args:
            folder: of this training alone; what an earlier process left there is continued.
            meta: JSON-able facts to store with the network, beside its epoch and scores.

        Raises:
            DataError: nothing that was trained on has a label.
            NonFiniteError: the training diverged.
            OSError: the folder cannot be written or the disk is full.
        """
        self._folder, self._meta = folder, meta
        parts: dict[str, Stateful] = {
            "network": self._network,
            "optimizer": self._optimizer,
            "scheduler": self._scheduler,
        }
        self._saved = SavedTraining(folder, "static network", parts)
        self._train_mode()
        fit(
            self._loss,
            self._batches,
            [self._optimizer],
            epochs=range(self._saved.epochs, self._config.epochs),
            after_epoch=self._after_epoch,
            schedulers=[self._scheduler],
        )
        self._saved.finish()

    def _batches(self, epoch: int) -> Iterator[LabelledImages]:
        generator = torch.Generator().manual_seed(stream(self._seed, "static", "epoch", epoch))
        order = torch.randperm(len(self._train), generator=generator).tolist()
        size = self._config.batch
        for step in tqdm(range(self._steps), f"epoch {epoch + 1}", unit="batch", leave=False, disable=None):
            images, labels = self._train.batch(order[step * size : (step + 1) * size], self._compute.device)
            yield augment(images, labels, self._config.scale_range, generator)

    def _loss(self, batch: LabelledImages) -> Tensor:
        """Add up cross-entropies: at full working resolution, and of auxiliary heads at their own, which is cheap."""
        images, labels = batch
        with self._compute.autocast():
            main, *auxiliary = self._network.forward_with_auxiliary(images)
        loss = cross_entropy(upsampled(main, labels.shape[-2:]), labels, self._weights)
        for logits in auxiliary:
            small = functional.interpolate(labels[:, None], logits.shape[-2:], mode="nearest-exact")[:, 0]
            loss = loss + self._config.auxiliary_weight * cross_entropy(logits, small, self._weights)
        return loss

    def _after_epoch(self, epoch: int, loss: float) -> bool:
        done, config = epoch + 1, self._config
        if loss == 0:  # as a sum over no pixel is
            raise DataError("no pixel that was trained on has a label; see what the masks hold and which value is void")
        if done % config.validate_every and done != config.epochs:
            return True
        scores = confusion(self._network, self._val, config.batch, self._compute).scores()
        better = self._saved.add(done, {"loss": loss} | scores)
        log.info(
            "static network: epoch %d/%d, loss %.3f, mIoU %.2f (best %.2f), %s left",
            *(done, config.epochs, loss, 100 * scores["miou"], 100 * self._saved.best),
            self._saved.time_left(config.epochs),
        )
        if better:
            save_checkpoint(self._folder / BEST, self._network, self._meta | {"epoch": done} | scores)
        self._saved.save()
        self._train_mode()
        return True

    def _train_mode(self) -> None:
        self._network.train()
        if self._config.freeze_encoder_norm:
            for module in self._network.encoder.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()


@torch.inference_mode()
def confusion(network: StaticNetwork, frames: LabelledFrames, batch: int, compute: Compute) -> ConfusionMatrix:
    """Score a network, which is left in eval mode, at the working resolution against nearest-resized labels."""
    network.eval()
    matrix = ConfusionMatrix(network.classes, compute.device)
    for images, labels in frames.batches(batch, compute.device):
        with compute.autocast():
            logits = network(images)
        matrix.update(classes_of(logits, labels.shape[-2:]), labels)
    return matrix


def _optimizer(config: StaticConfig, network: StaticNetwork) -> Optimizer:
    """Make the optimiser: a rate for the encoder and one for the rest; norms and biases have no weight decay."""
    groups = []
    for in_encoder, rate in ((True, config.encoder_rate), (False, config.decoder_rate)):
        named = [p for name, p in network.named_parameters() if name.startswith("encoder.") == in_encoder]
        for kernels, decay in ((True, config.weight_decay), (False, 0.0)):
            chosen = [p for p in named if (p.ndim > 1) == kernels]
            groups.append({"params": chosen, "lr": rate, "weight_decay": decay})
    if config.optimizer == "sgd":
        return SGD(groups, momentum=MOMENTUM, fused=True)
    return AdamW(groups, fused=True)
