"""Collecting trials: jobs go to workers as these get free, and come back as trials, failed ones too."""

from collections import deque
from dataclasses import replace

from nas.runs.trial import Trial
from nas.training.candidates.job import Job
from nas.workers.executor import Executor, Result


def collect(executor: Executor[Job, Trial], waiting: deque[Job]) -> list[Trial]:
    """Keep the workers busy with the waiting jobs; return the trials that finished or failed meanwhile."""
    while waiting and executor.free_slots():
        executor.submit(waiting.popleft())
    return [_trial_of(result) for result in executor.poll(timeout=1.0)]


def _trial_of(result: Result[Job, Trial]) -> Trial:
    job = result.job
    if result.value is not None:  # with the job's own genotype: the one that travelled takes several times the memory
        return replace(result.value, genotype=job.genotype, worker=result.worker, seconds=result.seconds)
    return Trial(
        number=job.number,
        fixed_point=job.fixed_point,
        confirms=job.confirms,
        genotype=job.genotype,
        status="failed",
        seed=job.seed,
        error=result.error,
        worker=result.worker,
        seconds=result.seconds,
    )
