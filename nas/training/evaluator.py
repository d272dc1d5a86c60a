"""Evaluator: trains one head on cached features and scores it. Cells and fixed points take exactly this way."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional
from torch.optim import Adam

from baselines.per_frame import PerFrame
from cache.features import FeatureCache
from cache.static.network import load_checkpoint
from nas.runs.config import CandidateConfig
from nas.runs.seeding import stream
from nas.runs.trial import Trial
from nas.training.complexity import complexity
from nas.training.compute import Compute
from nas.training.fit import NonFiniteError, fit
from nas.training.heads import build_head
from nas.training.job import Job
from nas.training.losses import cross_entropy
from nas.training.metrics import ConfusionMatrix, reward
from nas.training.rollout import Head, unroll
from searchspace.cell import DynamicCell, Features

INPUTS: Final = ("layer2", "layer3", "layer4", "dec")
SCORED_AT_ONCE: Final = 4  # frames whose logits are upsampled together: few stay in the processor's cache


@dataclass(frozen=True, kw_only=True)
class EvaluatorSpec:
    """What a worker builds its evaluator from; small and picklable."""

    cache_path: Path
    fingerprint: str
    """That the feature cache must have."""
    static_checkpoint: Path
    classes: int
    train_windows: tuple[tuple[int, ...], ...]
    """Positions in the cache of each window's frames, in time order; all windows have one length."""
    val_windows: tuple[tuple[int, ...], ...]
    candidate: CandidateConfig
    compute: Compute

    def build(self) -> "Evaluator":
        """Open the cache and the checkpoint. Raises DataError if they are not what the specification says."""
        return Evaluator(self)


class Evaluator:
    """Turns a job into a trial; what it does depends on the job and the specification alone."""

    def __init__(self, spec: EvaluatorSpec) -> None:
        self._spec, self._compute = spec, spec.compute
        cache = FeatureCache.open(spec.cache_path, spec.fingerprint, verify=False)  # verified when the run was prepared
        self._frames = {name: cache.tensor(name) for name in (*INPUTS, "label8", "label")}
        self._sizes = {name: self._frames[name].shape[1:] for name in INPUTS}
        home = _home(self._frames.values(), spec.compute.device)
        self._frames = {name: frames.to(home) for name, frames in self._frames.items()}
        self._train = torch.tensor(spec.train_windows, device=home)
        self._val = torch.tensor(spec.val_windows, device=home)
        network, _ = load_checkpoint(spec.static_checkpoint, classes=spec.classes)
        self._channels, self._decoder, self._classifier = network.channels, network.decoder, network.classifier

    def __call__(self, job: Job) -> Trial:
        """Train and score.

        Raises:
            NonFiniteError: a loss, a gradient or a logit became infinite or NaN.
            RuntimeError: whatever else PyTorch meets, such as a lack of memory.
        """
        start = time.perf_counter()
        epochs = self._spec.candidate.epochs
        head = self._build(job)
        optimizer = Adam(head.parameters(), lr=self._spec.candidate.learning_rate)
        trained = epochs if job.halfway is None else epochs // 2
        loss, matrix = self._train_and_score(head, optimizer, range(trained), job.seed)
        halfway_reward = None
        if job.halfway is not None:
            halfway_reward = reward(matrix)
            if job.halfway.keeps_going(halfway_reward):
                loss, matrix = self._train_and_score(head, optimizer, range(trained, epochs), job.seed)
                trained = epochs
        return Trial(
            number=job.number,
            fixed_point=job.fixed_point,
            genotype=job.genotype,
            status="finished" if trained == epochs else "early_stopped",
            reward=reward(matrix),
            halfway_reward=halfway_reward,
            metrics=matrix.scores() | {"loss": loss},
            cost=complexity(head, self._sizes, decoder=self._decoder if isinstance(head, PerFrame) else None),
            seed=job.seed,
            epochs=trained,
            seconds=time.perf_counter() - start,
        )

    def _build(self, job: Job) -> DynamicCell | PerFrame:
        """The head, with weights drawn from the job's seed and the static network's classifier."""
        head = build_head(job.genotype, self._channels, self._spec.classes, job.seed)
        head.classifier.load_state_dict(self._classifier.state_dict())
        head.to(self._compute.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return head

    def _train_and_score(self, head: Head, optimizer: Adam, epochs: range, seed: int) -> tuple[float, ConfusionMatrix]:
        """Run some epochs; return the last one's loss and the matrix over meta-val after it."""

        def loss_of(batch: Tensor) -> Tensor:
            """Sum over the frames after the first, from windows (N, T) of positions."""
            with self._compute.autocast():
                logits = unroll(head, self._clip(batch))
            labels = [self._take("label8", positions) for positions in batch.unbind(1)[1:]]
            return torch.stack(list(map(cross_entropy, logits, labels))).sum()

        def batches(epoch: int) -> Iterable[Tensor]:
            generator = torch.Generator().manual_seed(stream(seed, "order", epoch))
            order = torch.randperm(len(self._train), generator=generator)
            return torch.split(self._train[order.to(self._train.device)], self._spec.candidate.batch)

        head.train()
        loss = fit(loss_of, batches, [optimizer], epochs=epochs, clip_norm=self._spec.candidate.clip_norm)
        return loss, self._score(head)

    @torch.no_grad()
    def _score(self, head: Head) -> ConfusionMatrix:
        """Segment the last frame of every meta-val window at the size of its label."""
        head.train(False)
        matrix = ConfusionMatrix(self._spec.classes, self._compute.device)
        for batch in torch.split(self._val, SCORED_AT_ONCE):
            with self._compute.autocast():
                logits = unroll(head, self._clip(batch))[-1].float()
            if not torch.isfinite(logits).all():
                raise NonFiniteError("a logit on meta-val is infinite or NaN")
            labels = self._take("label", batch[:, -1])
            upsampled = functional.interpolate(logits, labels.shape[1:], mode="bilinear", align_corners=False)
            matrix.update(upsampled.argmax(1), labels)
        return matrix

    def _clip(self, windows: Tensor) -> list[Features]:
        """Features of each frame of some windows (N, T) of positions, in the precision of the computation."""
        dtype = self._compute.dtype or torch.float32
        return [{name: self._take(name, positions).to(dtype) for name in INPUTS} for positions in windows.unbind(1)]

    def _take(self, name: str, positions: Tensor) -> Tensor:
        """Rows of a cached array, on the device of the computation."""
        return self._frames[name][positions].to(self._compute.device)


def _home(frames: Iterable[Tensor], device: torch.device) -> torch.device:
    """Where cached arrays live: on an accelerator if they fill no more than half of what is free there."""
    if device.type == "cpu":
        return device
    free, _ = torch.accelerator.get_memory_info(device)
    return device if 2 * sum(array.nbytes for array in frames) <= free else torch.device("cpu")
