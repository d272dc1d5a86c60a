"""Retraining: a cell alone, then end to end with the static network, on windows of the whole training list.

Nekrasov et al., WACV 2020, give the two phases, their optimisers, rates, epochs and crops. The rest is ours:

- The loss is at full working resolution, on bilinearly upsampled logits; the search has it at 1/8, to save time.
- The static network stays in eval mode throughout: its batch-norm statistics remain those of its own training, as
  windows are few, and their frames alike; scales and shifts learn. The cell's batch norm is in train mode.
- The per-frame network takes the same way: its classifier alone first, then all of it.
- All networks of one seed see the same views of the same windows in the same order.
- A cell alone may learn on cached features instead, without views, by the loss of the search's candidates.

`network.pt` is the best network by mIoU over the validation list, streamed; of a video without masks, by agreement.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from tqdm import tqdm

from baselines.etc_distillation import Outputs, TemporalTerms
from cache.rows import Batch, batched
from nas.networks.logits import upsampled
from nas.networks.video_network import VideoNetwork, save_video_network
from nas.settings.compute import Compute
from nas.settings.retrain_config import RecipeConfig
from nas.settings.seeding import stream
from nas.training.augmentation import Views
from nas.training.candidates.clips import Clips
from nas.training.candidates.teaching import Teaching
from nas.training.fit import backward, fit
from nas.training.losses import cross_entropy
from nas.training.optimizers import MOMENTUM, poly
from nas.training.replay import replay_on
from nas.training.saved_training import BEST, SavedTraining, Stateful
from nas.training.video.data import VideoData
from nas.training.video.teacher import Teacher, imitation
from nas.training.video.windows import Windows, head_outputs, read_clip

log = logging.getLogger(__name__)

ALONE: Final = "alone"
BACKWARD: Final = 2.5  # epochs of the cell alone that take as long as one end to end; 2 to 3.5 on CPUs, by the cell
ON_FEATURES: Final = 0.1  # the same of one on cached features, in epochs of the cell alone on images


@dataclass(frozen=True)
class Phase:
    """Consecutive epochs in which the same weights learn."""

    name: str
    epochs: range
    static_learns: bool
    optimizers: Mapping[str, Optimizer]
    """Optimiser of each part that learns: `head`, `static`."""
    schedulers: Mapping[str, LambdaLR]
    """Schedule of each part's rate; none where rates are constant."""

    @property
    def parts(self) -> dict[str, Stateful]:
        """Optimisers and schedulers, by the names under which they are saved."""
        optimizers = {f"{self.name}: {part} optimizer": each for part, each in self.optimizers.items()}
        schedulers = {f"{self.name}: {part} scheduler": each for part, each in self.schedulers.items()}
        return {**optimizers, **schedulers}


class Retraining:
    """One network by one recipe, from its first epoch or where it was stopped; the result is the same bit for bit."""

    def __init__(
        self,
        config: RecipeConfig,
        network: VideoNetwork,
        data: VideoData,
        compute: Compute,
        seed: int,
        weights: Tensor | None = None,
        etc: TemporalTerms | None = None,
        teacher: Teacher | None = None,
        on_features: Teaching | None = None,
    ) -> None:
        """Make the optimisers.

        Args:
            config: recipe.
            network: network as it starts; it is moved to the device and trained in place.
            data: windows to learn from and clips to be scored on.
            compute: device and precision.
            seed: root of the random streams of order and augmentation.
            weights: weights of the classes in the loss, (classes,).
            etc: ETC's losses.
            teacher: what is imitated and distilled.
            on_features: loss on cached features by which the head learns alone; None lets it learn from images.
        """
        self._config, self._data, self._compute, self._seed = config, data, compute, seed
        self._etc, self._teacher, self._on_features = etc, teacher, on_features
        self._shares = teacher is not None and teacher.shares(network.static)
        self._network = network.to(compute.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._weights = None if weights is None else weights.to(compute.device)
        self._steps = sum(1 for _ in batched(data.windows, config.batch))
        self._phases = self._make_phases()

    def _make_phases(self) -> tuple[Phase, Phase]:
        config, head = self._config, list(self._network.head.parameters())
        if self._etc is not None:
            head += self._etc.parameters()
        mine = set(map(id, head))
        static = [parameter for parameter in self._network.static.parameters() if id(parameter) not in mine]
        alone, together = range(config.head_epochs), range(config.head_epochs, config.head_epochs + config.epochs)
        first, second = (_head_optimizer(config, head, rate) for rate in config.head_rates)
        optimizers = {"head": second}
        if config.static_rate > 0:
            optimizers["static"] = _sgd(config, static, config.static_rate)
        return (
            Phase(ALONE, alone, False, {"head": first}, self._schedulers({"head": first}, alone)),
            Phase("end to end", together, config.static_rate > 0, optimizers, self._schedulers(optimizers, together)),
        )

    def _schedulers(self, optimizers: Mapping[str, Optimizer], epochs: range) -> dict[str, LambdaLR]:
        if self._config.schedule == "constant":
            return {}
        return {part: poly(optimizer, max(1, len(epochs) * self._steps)) for part, optimizer in optimizers.items()}

    def run(self, folder: Path, meta: Mapping[str, Any]) -> None:
        """Train to the end, leaving `network.pt` and `curve.csv` in `folder`.

        Args:
            folder: folder of this training alone; what an earlier process left there is continued.
            meta: facts that `save_video_network` wants, to which epoch and scores are added.

        Raises:
            NonFiniteError: the training diverged.
            OSError: the folder cannot be written or the disk is full.
        """
        self._folder, self._meta = folder, meta
        self._saved = SavedTraining(folder, meta["name"], self._parts())
        self._train_mode()
        for phase in self._phases:
            loss, batches, way = self._lessons(phase)
            fit(
                loss,
                batches,
                list(phase.optimizers.values()),
                epochs=range(max(phase.epochs.start, self._saved.epochs), phase.epochs.stop),
                after_epoch=self._after_epoch,
                schedulers=list(phase.schedulers.values()),
                clip_norm=self._config.clip_norm,
                backward=way,
            )
        self._saved.finish()

    def _lessons(
        self, phase: Phase
    ) -> tuple[Callable[[Any], Tensor], Callable[[int], Iterable[Any]], Callable[..., Tensor]]:
        """Choose a phase's loss, batches and way backward; features are let go with the first phase."""
        taught, self._on_features = self._on_features, None
        if taught is not None and phase.name == ALONE:
            head = self._network.head
            way = replay_on(self._compute.device, head.parameters())
            return partial(taught, head), partial(self._feature_batches, taught.clips), way
        return partial(self._loss, phase.static_learns), self._batches, backward

    def _batches(self, epoch: int) -> Iterator[Windows]:
        config, data, generator = self._config, self._data, self._generator(epoch)
        for positions in self._shuffled(epoch, generator):
            views = Views.draw(len(positions), data.train.size, config.scale_range, generator, config.crop)
            yield data.read(positions, self._compute.device).apply(views)

    def _feature_batches(self, clips: Clips, epoch: int) -> Iterator[Batch]:
        order = self._shuffled(epoch, self._generator(epoch))
        return clips.batches(order, label="label8", of=slice(1, None))

    def _generator(self, epoch: int) -> torch.Generator:
        return torch.Generator().manual_seed(stream(self._seed, "retraining", "epoch", epoch))

    def _shuffled(self, epoch: int, generator: torch.Generator) -> Iterable[Tensor]:
        """Draw the order of an epoch's windows: batches of positions (N, T)."""
        windows = self._data.windows
        order = torch.randperm(len(windows), generator=generator).tolist()
        batches = batched([windows[place] for place in order], self._config.batch)
        return tqdm(batches, f"epoch {epoch + 1}", self._steps, unit="batch", leave=False, disable=None)

    def _loss(self, static_learns: bool, windows: Windows) -> Tensor:
        """Add up the mean cross-entropies and the imitation of the frames that count, and ETC's terms."""
        config = self._config
        seen, known = self._outputs(windows.images, static_learns)
        start = {"later": 1, "all": 0 if static_learns else 1, "last": len(seen.logits) - 1}[config.loss_on]
        frames = zip(seen.logits[start:], windows.labels[start:], windows.labelled[start:], strict=True)
        losses = [config.label_weight * self._label_loss(*frame) for frame in frames if config.label_weight > 0]
        if known is not None:
            losses.append(imitation(config, seen, known, start))
        if self._etc is not None:
            losses.append(self._etc(seen, windows.images, windows.flows, known))
        return torch.stack(losses).sum()

    def _label_loss(self, logits: Tensor, labels: Tensor, labelled: bool) -> Tensor:
        """Compute a frame's mean cross-entropy at full size; 0 with a gradient of 0, not of none, without labels."""
        if not labelled:
            return 0 * logits.float().sum()
        return cross_entropy(upsampled(logits, labels.shape[-2:]), labels, self._weights)

    def _outputs(self, images: Tensor, static_learns: bool) -> tuple[Outputs, Outputs | None]:
        """Run the network, and its teacher if any, over windows; while their encoders are one, it runs once."""
        network, teacher = self._network, self._teacher
        shared = teacher if self._shares and not static_learns else None
        needs = network.head.needs | (shared.needs if shared else frozenset())
        with self._compute.autocast():
            clip = read_clip(network, images, needs, static_learns)
            seen = head_outputs(network, clip)
        if shared:
            return seen, shared.of_features(clip)
        return seen, teacher(images) if teacher else None

    def _after_epoch(self, epoch: int, loss: float) -> bool:
        done, config = epoch + 1, self._config
        total = config.head_epochs + config.epochs
        if done % config.validate_every and done not in (config.head_epochs, total):
            return True
        data = self._data
        scores = data.score(self._network, self._compute)
        better = self._saved.add(done, {"loss": loss} | scores)
        log.info(
            "%s: epoch %d/%d (%s), loss %.3f, %s %.2f (best %.2f), %s left",
            *(self._meta["name"], done, total, ALONE if epoch < config.head_epochs else "end to end"),
            *(
                loss,
                data.words.miou,
                100 * scores["miou"],
                100 * self._saved.best,
                self._saved.time_left(total, self._work),
            ),
        )
        if better:
            save_video_network(self._folder / BEST, self._network, {**self._meta, **self._saved.curve[-1]})
        self._saved.save()
        self._train_mode()
        return True

    def _work(self, epochs: int) -> float:
        """Estimate the cost of so many epochs, in epochs of the cell alone on images."""
        config, alone = self._config, min(epochs, self._config.head_epochs)
        cost = ON_FEATURES if config.alone_on == "features" else 1.0
        return cost * alone + (BACKWARD if config.static_rate > 0 else 1.0) * (epochs - alone)

    def _train_mode(self) -> None:
        self._network.eval()
        self._network.head.train()

    def _parts(self) -> dict[str, Stateful]:
        parts: dict[str, Stateful] = {"network": self._network}
        if self._etc is not None:
            parts["etc"] = self._etc
        for phase in self._phases:
            parts |= phase.parts
        return parts


def _head_optimizer(config: RecipeConfig, parameters: Sequence[nn.Parameter], rate: float) -> Optimizer:
    if config.head_optimizer == "sgd":
        return _sgd(config, parameters, rate)
    return Adam(parameters, rate, weight_decay=config.weight_decay, fused=True)


def _sgd(config: RecipeConfig, parameters: Sequence[nn.Parameter], rate: float) -> SGD:
    return SGD(parameters, rate, momentum=MOMENTUM, weight_decay=config.weight_decay, fused=True)
