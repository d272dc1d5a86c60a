"""`python -m nas.search`: from frames on disk to a ranked list of cells."""

import datetime
import logging
from collections import deque
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from nas.reporting.progress import Progress
from nas.runs.command_line import run_command
from nas.runs.config import SearchConfig
from nas.runs.errors import RunError
from nas.runs.executor import Executor, Result
from nas.runs.failures import FailureGuard
from nas.runs.seeding import stream
from nas.runs.store import RunStore
from nas.runs.trial import Trial
from nas.strategies.strategy import Strategy
from nas.training.early_stopping import EarlyStopping
from nas.training.job import Job
from searchspace.space import Space

if TYPE_CHECKING:
    from nas.training.preparation import Prepared

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Find a dynamic cell: train the static network, cache its features, search, report.

    A stage whose result already stands is skipped. The same command continues a run that was stopped.
    """

    config: Annotated[SearchConfig, arg(name="")] = field(default_factory=SearchConfig)
    preset: str | None = None
    """Named settings: `quick` (made-up shapes, minutes) or `laptop` (CamVid without a GPU, an hour)."""
    run: Path | None = None
    """Directory of the run; by default runs/<dataset>-<date>-<seed>."""
    fork: str | None = None
    """Name of a new run beside --run that starts from its settings, for when some of them shall differ."""


def main(arguments: Arguments) -> None:
    """Do every stage and leave a report in the run's directory."""
    from nas.training.preparation import prepare  # loads torch, which --help and a bad flag need not wait for

    space = Space.load(arguments.config.space.space, arguments.config.space.blocks)
    directory = run_directory(arguments)
    with RunStore.open(directory, ...) as store:
        log.info("run %s, seed %d", directory, config.seed)
        prepared = prepare(config)
        store.bind("features", prepared.features.fingerprint)


def run_directory(arguments: Arguments) -> Path:
    """Where the run is kept. Raises RunError for `--fork` without `--run`."""
    if arguments.fork is not None:
        if arguments.run is None:
            raise RunError("--fork NAME starts from the settings of another run; say which with --run DIR")
        return arguments.run.parent / arguments.fork
    today = datetime.datetime.now(tz=datetime.UTC).date()
    config = arguments.config
    return arguments.run or Path("runs") / f"{config.data.dataset}-{today}-{config.seed}"


def search(
    strategy: Strategy, executor: Executor[Job, Trial], store: RunStore, config: SearchConfig, stopping: EarlyStopping
) -> None:
    """Ask for, evaluate and tell `config.trials` trials; those already in the log are replayed and not trained.

    Trials are told strictly in the order of their numbers, and trial n is asked for exactly between tell(n - L) and
    tell(n - L + 1), L being the look-ahead. So neither the number of workers nor the order in which they finish
    changes what is sampled, and a replayed log rebuilds the strategy.

    Raises:
        RunError: the log holds other cells than this strategy asks for, or failing has become the rule.
    """
    known = {trial.number: trial for trial in store.trials if trial.number is not None}
    progress, guard = Progress(config.trials, list(known.values())), FailureGuard()
    jobs: list[Job] = []
    waiting: deque[Job] = deque()
    originals: dict[str, int] = {}  # canonical key -> number of the first trial of that cell

    def record(trial: Trial) -> None:
        assert trial.number is not None
        store.append(trial)
        known[trial.number] = trial
        progress.record(trial)
        guard.observe(trial)

    for told in range(config.trials):
        while len(jobs) < min(told + config.lookahead, config.trials):
            job = _next_job(len(jobs), strategy, stopping, config)
            jobs.append(job)
            _check_replay(job, known)
            if originals.setdefault(job.key, job.number) == job.number and job.number not in known:
                waiting.append(job)
        original = originals[jobs[told].key]
        if told not in known and original != told:
            record(replace(known[original], number=told, genotype=jobs[told].genotype, repeat_of=original, seconds=0.0))
        while told not in known:
            while waiting and executor.free_slots():
                executor.submit(waiting.popleft())
            for result in executor.poll(timeout=1.0):
                record(trial_of(result))
        strategy.tell(known[told])
        stopping.observe(known[told].halfway_reward)
