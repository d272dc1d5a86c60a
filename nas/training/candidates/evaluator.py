"""Evaluator: costs, trains and scores one head on cached features. Cells and fixed points take exactly this way."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from cache.errors import DataError
from cache.features import FeatureCache
from cache.static.network import LOW, load_checkpoint
from nas.evaluation.latency_table import LatencyTable
from nas.networks.heads import Head, head_on
from nas.runs.ranking import RELATIVE
from nas.runs.trial import Trial
from nas.settings.automatic import require_number
from nas.settings.compute import Compute
from nas.settings.config import CandidateConfig
from nas.training.candidates.clips import Clips
from nas.training.candidates.costing import Costing
from nas.training.candidates.job import Job
from nas.training.candidates.memory import training_memory
from nas.training.candidates.objective import OBJECTIVES, factor_of_cost
from nas.training.candidates.scoring import score
from nas.training.candidates.teaching import Teaching
from nas.training.candidates.training import Trainer

log = logging.getLogger(__name__)


class TooLargeError(RuntimeError):
    """Training a candidate would take more memory than it may."""


@dataclass(frozen=True, kw_only=True)
class EvaluatorSpec:
    """Specification that a worker builds its evaluator from; small and picklable."""

    cache_path: Path
    fingerprint: str
    """Fingerprint that the feature cache must have."""
    static_checkpoint: Path
    classes: int
    train_windows: tuple[tuple[int, ...], ...]
    """Windows of meta-train, each as the positions in the cache of its frames, in time order."""
    val_clips: tuple[tuple[int, ...], ...]
    """Contiguous stretches of meta-val, each up to its last labelled frame, as positions likewise."""
    refresh: int = 0
    """Frames from one key frame to the next in scoring; 0 has none after a clip's first."""
    class_weights: tuple[float, ...] | None = None
    """Weights of the classes in the labels' loss; None weighs all alike."""
    candidate: CandidateConfig
    latencies: LatencyTable | None = None
    """Table of latencies, where costs are counted in time."""
    compute: Compute
    cache_memory: Literal["auto"] | float = "auto"
    """GiB of features that may be held in memory; `auto` is half of what there is. More are streamed from the file."""

    def build(self) -> "Evaluator":
        """Open the cache and the checkpoint. Raises DataError if they are not what the specification says."""
        return Evaluator(self)


@dataclass(frozen=True)
class Standing:
    """Standing of a candidate after some epochs."""

    epochs: int
    """Number of epochs trained."""
    metrics: Mapping[str, float]
    """Scores on meta-val, in [0, 1], their `worth` to the objective, whatever the candidate costs, and the mean
    training `loss` of the last epoch, if there was one."""
    reward: float
    """Reward for these scores at the candidate's costs."""


class Evaluator:
    """Turns a job into a trial; what it does depends on the job and the specification alone."""

    def __init__(self, spec: EvaluatorSpec) -> None:
        self._spec = spec
        cache = FeatureCache.open(spec.cache_path, spec.fingerprint, verify=False)  # verified when the run was prepared
        network, _ = load_checkpoint(spec.static_checkpoint, classes=spec.classes)
        self._static = network.to(spec.compute.device).freeze()
        self._clips = Clips(cache, spec.compute, spec.cache_memory)
        weights = None
        if spec.class_weights is not None:
            weights = torch.tensor(spec.class_weights, device=spec.compute.device)
        teaching = Teaching(self._clips, self._static.classifier, spec.candidate, weights)
        self._trainer = Trainer(self._clips, spec.train_windows, spec.candidate, teaching)
        self._cost = Costing(self._clips, spec.val_clips[0][-1], self._static, spec.refresh, spec.latencies)
        self._objective = OBJECTIVES[spec.candidate.objective]

    def __call__(self, job: Job) -> Trial:
        """Evaluate a job; once more, with each batch in two halves, if the GPU's memory does not suffice.

        Raises:
            TooLargeError: training would take more memory than a candidate may.
            DataError: the cell reads features of halved frames that the cache does not have.
            NonFiniteError: a loss, a gradient or a logit became infinite or NaN.
            RuntimeError: whatever else PyTorch meets, such as a lack of memory.
        """
        self._check_features(job)
        self._check_memory(job)
        try:
            return self._evaluate(job, parts=1)
        except torch.OutOfMemoryError as error:
            log.warning("%s; trying again with half batches", error)
        torch.cuda.empty_cache()  # here, where the error no longer holds what was allocated
        return self._evaluate(job, parts=2)

    def _evaluate(self, job: Job, parts: int) -> Trial:
        """Build a head, cost it, train it and score it; if half-way it is stopped, with the scores it has there."""
        start = time.perf_counter()
        spec = self._spec
        epochs = spec.candidate.epochs if job.epochs is None else job.epochs
        head = self._build(job)
        costs = self._cost(head)
        factor = factor_of_cost(costs.counts[RELATIVE[spec.candidate.cost]], spec.candidate.max_cost)
        schedule = self._trainer.schedule(head, epochs, job.seed)

        def trained(some: range) -> Standing:
            loss = self._trainer.train(head, schedule, some, seed=job.seed, parts=parts)
            scores = score(head, self._static.classifier, self._clips, spec.val_clips, spec.refresh)
            worth = self._objective.worth(scores)
            metrics = scores | {"worth": worth} | ({"loss": loss} if some else {})
            return Standing(some.stop, metrics, worth * factor)

        halfway = end = None
        if job.halfway is not None:
            halfway = trained(range(epochs // 2))
            end = None if job.halfway.keeps_going(halfway.reward) else halfway
        end = end or trained(range(epochs // 2 if halfway else 0, epochs))
        return Trial(
            number=job.number,
            fixed_point=job.fixed_point,
            confirms=job.confirms,
            genotype=job.genotype,
            status="finished" if end.epochs == epochs else "early_stopped",
            reward=end.reward,
            halfway_reward=halfway.reward if halfway else None,
            metrics=end.metrics,
            cost=costs.counts,
            latency=costs.latency,
            seed=job.seed,
            epochs=end.epochs,
            batch_parts=parts,
            seconds=time.perf_counter() - start,
        )

    def _build(self, job: Job) -> Head:
        """Build the head, with weights drawn from the job's seed and the static network's classifier."""
        head = head_on(self._static, job.genotype, job.seed)
        head.to(self._spec.compute.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return head

    def _check_features(self, job: Job) -> None:
        """Raise DataError if the cell reads of halved frames what is not in the cache, as that of another space is."""
        absent = set(job.genotype.sources if job.genotype else ()).intersection(LOW) - self._clips.sizes.keys()
        if absent:
            raise DataError(
                f"the cell reads {', '.join(sorted(absent))}, which the features of this run do not have; search in a "
                "space with these inputs, such as --space fast"
            )

    def _check_memory(self, job: Job) -> None:
        """Raise TooLargeError if training would keep more than a candidate may."""
        spec = self._spec
        needed = training_memory(
            job.genotype,
            self._clips.sizes,
            batch=spec.candidate.batch,
            frames=max(map(len, spec.train_windows)),
            channels=self._static.channels,
            classes=spec.classes,
            device=spec.compute.device,
            autocast=spec.compute.autocast(),
        )
        limit = require_number(spec.candidate.max_memory)
        if needed > limit:
            raise TooLargeError(f"training would take {needed:.1f} GiB, and --max-candidate-memory is {limit:g}")
