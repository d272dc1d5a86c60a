"""Evaluator: trains one head on cached features and scores it. Cells and fixed points take exactly this way."""

import time
from collections.abc import Iterable, Iterator, Sequence
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
from nas.training.complexity import complexity, full_state
from nas.training.compute import Compute
from nas.training.fit import NonFiniteError, fit
from nas.training.heads import build_head
from nas.training.job import Job
from nas.training.latency import measure
from nas.training.losses import cross_entropy
from nas.training.memory import training_memory
from nas.training.metrics import ConfusionMatrix, reward
from nas.training.rollout import Head, unroll
from searchspace.cell import DynamicCell, Features

INPUTS: Final = ("layer2", "layer3", "layer4", "dec")
TIMED: Final = 5  # repetitions of a step that its latency is the median of
SCORED_AT_ONCE: Final = 4  # frames whose logits are upsampled together: few stay in the processor's cache


class TooLargeError(RuntimeError):
    """Training a candidate would take more memory than it may."""


@dataclass(frozen=True, kw_only=True)
class EvaluatorSpec:
    """What a worker builds its evaluator from; small and picklable."""

    cache_path: Path
    fingerprint: str
    """That the feature cache must have."""
    static_checkpoint: Path
    classes: int
    train_windows: tuple[tuple[int, ...], ...]
    """Positions in the cache of each window's frames, in time order."""
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
        network, _ = load_checkpoint(spec.static_checkpoint, classes=spec.classes)
        network = network.to(spec.compute.device).freeze()
        self._channels, self._decoder, self._classifier = network.channels, network.decoder, network.classifier

    def __call__(self, job: Job) -> Trial:
        """Train and score.

        Raises:
            TooLargeError: training would take more memory than a candidate may.
            NonFiniteError: a loss, a gradient or a logit became infinite or NaN.
            RuntimeError: whatever else PyTorch meets, such as a lack of memory.
        """
        start = time.perf_counter()
        self._check_memory(job)
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
            latency=self._latency(head),
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
            windows = self._spec.train_windows
            order = torch.randperm(len(windows), generator=generator).tolist()
            return batched([windows[place] for place in order], self._spec.candidate.batch)

        head.train()
        loss = fit(loss_of, batches, [optimizer], epochs=epochs, clip_norm=self._spec.candidate.clip_norm)
        return loss, self._score(head)

    @torch.no_grad()
    def _score(self, head: Head) -> ConfusionMatrix:
        """Segment the last frame of every meta-val window at the size of its label."""
        head.train(False)
        matrix = ConfusionMatrix(self._spec.classes, self._compute.device)
        for batch in batched(self._spec.val_windows, SCORED_AT_ONCE):
            with self._compute.autocast():
                logits = unroll(head, self._clip(batch))[-1].float()
            if not torch.isfinite(logits).all():
                raise NonFiniteError("a logit on meta-val is infinite or NaN")
            labels = self._take("label", batch[:, -1])
            upsampled = functional.interpolate(logits, labels.shape[1:], mode="bilinear", align_corners=False)
            matrix.update(upsampled.argmax(1), labels)
        return matrix

    def _check_memory(self, job: Job) -> None:
        spec = self._spec
        needed = training_memory(
            job.genotype,
            self._sizes,
            batch=spec.candidate.batch,
            frames=max(map(len, spec.train_windows)),
            channels=self._channels,
            classes=spec.classes,
            device=self._compute.device,
            autocast=self._compute.autocast(),
        )
        if needed > spec.candidate.max_memory:
            raise TooLargeError(
                f"training would take {needed:.1f} GiB, and --max-candidate-memory is {spec.candidate.max_memory:g}"
            )

    @torch.no_grad()
    def _latency(self, head: DynamicCell | PerFrame) -> float:
        """Median seconds of one later frame after the encoder, batch 1, with a full memory."""
        [features, *_] = self._clip(torch.tensor([self._spec.val_windows[0][-1:]]))
        state = full_state(head, features)

        def run() -> Tensor:
            with self._compute.autocast():
                if isinstance(head, PerFrame):
                    self._decoder(features)
                dec, _ = head.step(features, state)
                logits: Tensor = head.classifier(dec)
                return logits

        return measure(run, self._compute.device, repeats=TIMED).median

    def _clip(self, windows: Tensor) -> list[Features]:
        """Features of each frame of some windows (N, T) of positions, in the precision of the computation."""
        dtype = self._compute.dtype or torch.float32
        return [{name: self._take(name, positions).to(dtype) for name in INPUTS} for positions in windows.unbind(1)]

    def _take(self, name: str, positions: Tensor) -> Tensor:
        """Rows of a cached array, on the device of the computation."""
        frames = self._frames[name]
        return frames[positions.to(frames.device)].to(self._compute.device)


def batched(windows: Sequence[tuple[int, ...]], size: int) -> Iterator[Tensor]:
    """Windows as batches (N, T) of positions, `size` at a time in their order, each of one length."""
    by_length: dict[int, list[tuple[int, ...]]] = {}
    for window in windows:
        by_length.setdefault(len(window), []).append(window)
    for alike in by_length.values():
        yield from torch.split(torch.tensor(alike), size)


def _home(frames: Iterable[Tensor], device: torch.device) -> torch.device:
    """Where cached arrays live: on an accelerator if they fill no more than half of what is free there."""
    if device.type == "cpu":
        return device
    free, _ = torch.accelerator.get_memory_info(device)
    return device if 2 * sum(array.nbytes for array in frames) <= free else torch.device("cpu")
