"""Evaluations that no strategy asks for or is told of: of fixed points before a search, of what it found after it."""

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from baselines.fixed_points import STATIC
from nas.runs.confirmation import missing
from nas.runs.progress import outcome
from nas.runs.store import RunStore
from nas.runs.trial import Trial
from nas.settings.config import SearchConfig
from nas.settings.seeding import stream
from nas.training.candidates.collect import collect
from nas.training.candidates.job import Job
from nas.workers.executor import Executor
from searchspace.genotype import Genotype

log = logging.getLogger(__name__)


def evaluate_fixed_points(
    executor: Executor[Job, Trial], store: RunStore, fixed_points: Mapping[str, Genotype | None], config: SearchConfig
) -> None:
    """Evaluate each fixed point that the log does not hold yet, as any candidate but never stopped half-way.

    The static network is scored once and as it is: no seed changes it.
    """
    held = {(trial.fixed_point, trial.seed) for trial in store.trials}
    jobs: list[Job] = []
    for repetition in range(config.fixed_point_seeds):
        for name, genotype in fixed_points.items():
            seed = stream(config.seed, "candidate", name, repetition)
            if (name, seed) not in held and (name != STATIC or repetition == 0):
                epochs = 0 if name == STATIC else None
                jobs.append(Job(fixed_point=name, genotype=genotype, seed=seed, epochs=epochs))
    _evaluate(executor, store, jobs, "fixed point")


def confirm(
    executor: Executor[Job, Trial], store: RunStore, config: SearchConfig, after_each: Callable[[], None] = lambda: None
) -> None:
    """Train the best cells and the fixed points again, longer and with fresh seeds, as far as the log lacks it."""
    epochs = config.confirm_length * config.candidate.epochs
    jobs = [
        Job(confirms=trial.name, genotype=trial.genotype, seed=seed, epochs=epochs)
        for trial, seed in missing(store.trials, config)
    ]
    if jobs:
        log.info("confirming the best cells and the fixed points: %d trainings of %d epochs", len(jobs), epochs)
    _evaluate(executor, store, jobs, "confirmation", after_each)


def _evaluate(
    executor: Executor[Job, Trial],
    store: RunStore,
    jobs: Sequence[Job],
    what: str,
    after_each: Callable[[], None] = lambda: None,
) -> None:
    """Evaluate jobs, and put their trials into the log as they finish."""
    waiting, left = deque(jobs), len(jobs)
    while left:
        for trial in collect(executor, waiting):
            store.append(trial)
            left -= 1
            log.info("%s: %s [%d %s%s to go]", trial.name, outcome(trial), left, what, "" if left == 1 else "s")
            after_each()
