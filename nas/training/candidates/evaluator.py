"""Evaluator: trains one head on cached features and scores it. Cells and fixed points take exactly this way."""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional
from torch.optim import Adam

from baselines.per_frame import PerFrame
from cache.datasets.clips import VOID
from cache.features import FeatureCache
from cache.rows import Batch, Wanted, batched
from cache.static.network import load_checkpoint
from nas.evaluation.head_cost import complexity
from nas.evaluation.latency import measure
from nas.evaluation.metrics import ConfusionMatrix, reward
from nas.networks.heads import Head, build_head, full_state, unroll
from nas.runs.trial import Trial
from nas.settings.compute import Compute
from nas.settings.config import CandidateConfig
from nas.settings.errors import NonFiniteError
from nas.settings.seeding import stream
from nas.training.candidates.feature_rows import open_rows
from nas.training.candidates.job import Job
from nas.training.candidates.memory import training_memory
from nas.training.fit import fit
from nas.training.losses import cross_entropy
from searchspace.modules.cell import DynamicCell, Features

log = logging.getLogger(__name__)

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
    cache_memory: float = 0.0
    """GiB of features that may be held in memory; 0 is half of what there is. More are streamed from the file."""

    def build(self) -> "Evaluator":
        """Open the cache and the checkpoint. Raises DataError if they are not what the specification says."""
        return Evaluator(self)


class Evaluator:
    """Turns a job into a trial; what it does depends on the job and the specification alone."""

    def __init__(self, spec: EvaluatorSpec) -> None:
        self._spec, self._compute = spec, spec.compute
        cache = FeatureCache.open(spec.cache_path, spec.fingerprint, verify=False)  # verified when the run was prepared
        self._sizes = {name: cache.tensor(name).shape[1:] for name in INPUTS}
        self._rows = open_rows(cache, (*INPUTS, "label8", "label"), spec.compute.device, spec.cache_memory)
        network, _ = load_checkpoint(spec.static_checkpoint, classes=spec.classes)
        network = network.to(spec.compute.device).freeze()
        self._channels, self._decoder, self._classifier = network.channels, network.decoder, network.classifier

    def __call__(self, job: Job) -> Trial:
        """Train and score; once more, with each batch in two halves, if the GPU's memory does not suffice.

        Raises:
            TooLargeError: training would take more memory than a candidate may.
            NonFiniteError: a loss, a gradient or a logit became infinite or NaN.
            RuntimeError: whatever else PyTorch meets, such as a lack of memory.
        """
        self._check_memory(job)
        try:
            return self._evaluate(job, parts=1)
        except torch.OutOfMemoryError as error:
            log.warning("%s; trying again with half batches", error)
        torch.cuda.empty_cache()  # here, where the error no longer holds what was allocated
        return self._evaluate(job, parts=2)

    def _evaluate(self, job: Job, parts: int) -> Trial:
        start = time.perf_counter()
        epochs = self._spec.candidate.epochs
        head = self._build(job)
        optimizer = Adam(head.parameters(), lr=self._spec.candidate.learning_rate, fused=True)
        trained = epochs if job.halfway is None else epochs // 2
        loss, matrix = self._train_and_score(head, optimizer, range(trained), job.seed, parts)
        halfway_reward = None
        if job.halfway is not None:
            halfway_reward = reward(matrix)
            if job.halfway.keeps_going(halfway_reward):
                loss, matrix = self._train_and_score(head, optimizer, range(trained, epochs), job.seed, parts)
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
            batch_parts=parts,
            seconds=time.perf_counter() - start,
        )

    def _build(self, job: Job) -> DynamicCell | PerFrame:
        """The head, with weights drawn from the job's seed and the static network's classifier."""
        head = build_head(job.genotype, self._channels, self._spec.classes, job.seed)
        head.classifier.load_state_dict(self._classifier.state_dict())
        head.to(self._compute.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return head

    def _train_and_score(
        self, head: Head, optimizer: Adam, epochs: range, seed: int, parts: int
    ) -> tuple[float, ConfusionMatrix]:
        """Run some epochs; return the last one's loss and the matrix over meta-val after it."""

        def loss_of(batch: Batch) -> Tensor:
            """Sum over the frames after the first."""
            with self._compute.autocast():
                logits = unroll(head, self._clip(batch))
            losses = torch.stack(list(map(cross_entropy, logits, batch["label8"])))
            return (losses * batch.get("share", 1)).sum()

        def batches(epoch: int) -> Iterable[Batch]:
            generator = torch.Generator().manual_seed(stream(seed, "order", epoch))
            windows = self._spec.train_windows
            order = torch.randperm(len(windows), generator=generator).tolist()
            shuffled = batched([windows[place] for place in order], self._spec.candidate.batch)
            return self._rows.batches(wanted(batch, label8=batch[:, 1:]) for batch in shuffled)

        head.train()
        split = partial(in_parts, count=parts)
        loss = fit(loss_of, batches, [optimizer], epochs=epochs, clip_norm=self._spec.candidate.clip_norm, split=split)
        return loss, self._score(head)

    @torch.no_grad()
    def _score(self, head: Head) -> ConfusionMatrix:
        """Segment the last frame of every meta-val window at the size of its label."""
        head.train(False)
        matrix = ConfusionMatrix(self._spec.classes, self._compute.device)
        windows = batched(self._spec.val_windows, SCORED_AT_ONCE)
        for batch in self._rows.batches(wanted(window, label=window[:, -1:]) for window in windows):
            with self._compute.autocast():
                logits = unroll(head, self._clip(batch))[-1].float()
            if not torch.isfinite(logits).all():
                raise NonFiniteError("a logit on meta-val is infinite or NaN")
            [labels] = batch["label"]
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
        [features] = self._clip(self._rows.batch(wanted(torch.tensor([self._spec.val_windows[0][-1:]]))))
        state = full_state(head, features)

        def run() -> Tensor:
            with self._compute.autocast():
                if isinstance(head, PerFrame):
                    self._decoder(features)
                dec, _ = head.step(features, state)
                logits: Tensor = head.classifier(dec)
                return logits

        return measure(run, self._compute.device, repeats=TIMED).median

    def _clip(self, batch: Batch) -> list[Features]:
        """Features of each frame of a batch of windows, in the precision of the computation."""
        frames = zip(*(batch[name] for name in INPUTS), strict=True)
        dtype = self._compute.dtype or torch.float32
        return [{name: rows.to(dtype) for name, rows in zip(INPUTS, frame, strict=True)} for frame in frames]


def wanted(windows: Tensor, **labels: Tensor) -> Wanted:
    """All features of some windows (N, T) of positions, and labels by the positions that they are wanted of."""
    return dict.fromkeys(INPUTS, windows) | labels


def in_parts(batch: Batch, count: int) -> list[Batch]:
    """A batch by its windows in parts, with the `share` (T - 1,) of each frame's labelled pixels that a part has.

    Losses that are means over pixels, multiplied by these shares, add up to that of the batch.
    """
    if count == 1:
        return [batch]
    chunks = zip(*(rows.chunk(count, dim=1) for rows in batch.values()), strict=True)
    parts = [dict(zip(batch, rows, strict=True)) for rows in chunks]
    labelled = torch.stack([(part["label8"] != VOID).flatten(1).sum(1) for part in parts])
    shares = labelled / labelled.sum(0).clamp(min=1)
    return [part | {"share": share} for part, share in zip(parts, shares, strict=True)]
