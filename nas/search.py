"""`python -m nas.search`: from frames on disk to a ranked list of cells."""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from tyro.conf import arg

from baselines.fixed_points import STATIC, select
from cache.cores import usable_cores
from nas.runs.comparable import read_run
from nas.runs.failures import FailureGuard
from nas.runs.progress import Progress
from nas.runs.random_search import sister_runs
from nas.runs.ranking import fixed_points as means_of_fixed_points
from nas.runs.store import RunStore, read_inputs, read_settings
from nas.runs.trial import Trial
from nas.runs.unfinished import default_directory
from nas.settings.automatic import as_begun, load_space, require_number, resolve_auto
from nas.settings.command_line import log_to, run_command
from nas.settings.config import CandidateConfig, SearchConfig
from nas.settings.config_files import CONFIG_FILE, anchored, identity, to_mapping
from nas.settings.errors import RunError, require
from nas.settings.seeding import stream
from nas.strategies.strategy import CostAware, Exportable, Resumable, Strategy
from nas.training.candidates.beside_search import confirm, evaluate_fixed_points
from nas.training.candidates.collect import collect
from nas.training.candidates.early_stopping import EarlyStopping, Halfway
from nas.training.candidates.job import Job
from nas.workers.executor import Executor, InlineExecutor
from searchspace.genotype import Genotype

if TYPE_CHECKING:
    from nas.training.candidates.evaluator import EvaluatorSpec

log = logging.getLogger(__name__)

HARM: Final = 0.005  # of reward, what a recipe may cost the per-frame network before the log warns of it
OTHER_CODE: Final = "it was written by another version of dyncell; start a new run with --fork NAME"


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Find a dynamic cell: train the static network, cache its features, search, report.

    A stage whose result already stands is skipped. The same command continues a run that was stopped.
    """

    config: Annotated[SearchConfig, arg(name="")] = field(default_factory=SearchConfig)
    preset: str | None = None
    """Named settings: `quick` (made-up shapes, minutes), `laptop` (CamVid without a GPU, an hour or two), `small` (a
    few hundred labelled frames of one's own), `paper` (candidates learn from labels alone), or a YAML file of one's
    own, as they are in nas/settings/presets."""
    run: Path | None = None
    """Directory of the run; by default the unfinished one of these settings in runs/, else
    runs/<dataset>-<date>-<seed>."""
    fork: str | None = None
    """Name of a new run beside --run that starts from its settings, for when some of them shall differ."""


def main(arguments: Arguments) -> None:
    """Do every stage, and leave a report in the run's directory."""
    # These load torch, for which --help and a bad flag need not wait.
    from baselines.fixed_points import FIXED_POINTS
    from nas.reporting.search.live import PAUSE, LiveReport
    from nas.runs.tensorboard import Curves
    from nas.settings.compute import resolve
    from nas.strategies.catalog import make_strategy, settings_of
    from nas.strategies.saved_strategy import SavedStrategy
    from nas.training.candidates.counting import counted_costs
    from nas.training.candidates.inputs import data_of, prepare, with_teacher
    from nas.training.candidates.latencies import latencies_of_run

    compute = resolve(arguments.config.compute)
    space = load_space(arguments.config.space)
    config = with_teacher(anchored(resolve_auto(arguments.config, compute, space)))
    fixed_points = select(FIXED_POINTS, config.fixed_points)
    data = data_of(config).name  # what is wrong with it is said before there is a run
    strategy = make_strategy(config, space, fixed_points.values())
    directory = run_directory(arguments, data, config)
    if (directory / CONFIG_FILE).exists():
        config = as_begun(config, arguments.config, read_settings(directory))
    with RunStore.open(directory, identity=identity(config), config=to_mapping(config)) as store:
        require_streamed_scores(store)
        log_to(store.directory / "search.log")
        log.info("run %s, seed %d, %s on %s", store.directory, config.seed, config.strategy, data)
        store.bind("data", data)
        preset = remembered_preset(store, arguments)
        prepared = prepare(config, compute)
        store.bind("features", prepared.features.fingerprint)
        if config.candidate.cost == "latency":
            table = latencies_of_run(store, prepared, space, require_number(config.compute.threads))
            prepared = replace(prepared, evaluator=replace(prepared.evaluator, latencies=table))
        if isinstance(strategy, CostAware) and config.candidate.max_cost is not None:
            strategy.know_costs(counted_costs(prepared, space))

        def report(refresh: int | None = None) -> str:
            from nas.reporting.search.report import write_report  # loads matplotlib, for which no candidate need wait

            sisters = [] if refresh else sister_runs(read_run(store.directory), settings_of)
            return write_report(store.directory, store.trials, config, space, prepared, refresh, sisters, preset)

        with closing(make_executor(config, prepared.evaluator)) as executor, closing(Curves(store.directory)) as curves:
            evaluate_fixed_points(executor, store, fixed_points, config)
            if config.candidate.objective != "agreement":  # by which the static network is perfect
                warn_of_harm(store.trials)
            kept = strategy
            if isinstance(strategy, Resumable):
                kept = SavedStrategy(strategy, store.directory / "strategy.pt", store.trials, config.lookahead)
            live = LiveReport(lambda: report(round(PAUSE)))

            def show(trial: Trial) -> None:
                curves.add(trial)
                live.update()

            search(kept, executor, store, config, EarlyStopping(), after_tell=show)
            confirm(executor, store, config, after_each=live.update)
        if isinstance(strategy, Exportable):
            strategy.export(store.directory)
        print(report())


def require_streamed_scores(store: RunStore) -> None:
    """Raise RunError if trials were scored by the last frames of windows, whose rewards are not those of today.

    No setting tells: candidates are streamed over meta-val since there is `agreement` among their scores.
    """
    if any(trial.ok and "agreement" not in trial.metrics for trial in store.trials):
        raise RunError(f"the trials of {store.directory} were scored otherwise than today: {OTHER_CODE}")


def run_directory(arguments: Arguments, data: str, config: SearchConfig) -> Path:
    """Return the directory of a run on `data`. Raises RunError for `--fork` without `--run`, or of a path."""
    if arguments.fork is not None:
        if arguments.run is None:
            raise RunError("--fork NAME starts from the settings of another run; say which with --run DIR")
        one_name = Path(arguments.fork).name == arguments.fork and arguments.fork not in ("", "..")
        require(one_name, "fork must be the name of a folder beside --run", arguments.fork)
        return arguments.run.parent / arguments.fork
    return arguments.run or default_directory(Path("runs"), data, config, arguments.config)


def remembered_preset(store: RunStore, arguments: Arguments) -> str | None:
    """Return the preset of a call, or else that of the run which it goes on with or starts from, and note it."""
    runs = [store.directory, *([arguments.run] if arguments.run else [])]
    presets = [arguments.preset, *(read_inputs(run).get("preset") for run in runs)]
    preset: str | None = next(filter(None, presets), None)
    if preset is not None:
        store.note("preset", preset)
    return preset


def make_executor(config: SearchConfig, evaluator: "EvaluatorSpec") -> Executor[Job, Trial]:
    """Make the executor that the configuration asks for. Raises RunError if it cannot be had."""
    machine, threads = config.machine, require_number(config.compute.threads)
    warn_of_crowding(config)
    evaluator.compute.release()  # what the static network took is for the workers
    if machine.executor == "inline" or (machine.executor == "auto" and machine.workers == 1):
        return InlineExecutor(evaluator.build, threads=threads)
    from nas.workers.ray_executor import RayExecutor  # Ray takes a while to import

    gpus = machine.gpus_per_worker if config.compute.device.startswith("cuda") else 0.0
    seen = replace(evaluator, compute=evaluator.compute.in_ray()) if gpus else evaluator
    return RayExecutor(
        seen.build,
        workers=machine.workers,
        threads=threads,
        gpus_per_worker=gpus,
        address=machine.address,
        timeout=machine.timeout,
    )


def warn_of_crowding(config: SearchConfig) -> None:
    """Say in the log if the workers of this machine have more threads than it has cores, which wait for each other."""
    workers, threads, cores = config.machine.workers, require_number(config.compute.threads), usable_cores()
    if config.machine.address == "local" and workers > 1 and workers * threads > cores:
        log.warning(
            "%d workers of %d threads on %d cores are many times slower than fewer; a run keeps its threads, as they "
            "change last digits: take --workers %d, or begin another with --threads %d (--fork NAME)",
            *(workers, threads, cores, max(1, cores // threads), max(1, cores // workers)),
        )


def warn_of_harm(trials: Sequence[Trial]) -> None:
    """Say in the log if training by the candidates' recipe made the per-frame network worse than it started."""
    rewards = {trial.name: trial.reward for trial in means_of_fixed_points(trials)}
    before, after = rewards.get(STATIC), rewards.get("per_frame")
    if before is not None and after is not None and after < before - HARM:
        log.warning(
            "the candidates' recipe does harm: the static network as it is has a reward of %.4f, and trained by it "
            "(per_frame) %.4f; imitate more and trust labels less (--candidate.logit-weight, --candidate.label-weight)",
            *(before, after),
        )


def search(
    strategy: Strategy,
    executor: Executor[Job, Trial],
    store: RunStore,
    config: SearchConfig,
    stopping: EarlyStopping,
    after_tell: Callable[[Trial], None] = lambda trial: None,
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
    genotypes: list[Genotype] = []
    waiting: deque[Job] = deque()
    originals: dict[str, int] = {}  # canonical key -> number of the first trial of that cell

    def record(number: int | None, trial: Trial) -> None:
        assert number is not None
        store.append(trial)
        known[number] = trial
        progress.record(trial)

    for told in range(config.trials):
        while len(genotypes) < min(told + config.lookahead, config.trials):
            number, genotype = len(genotypes), strategy.ask()
            if number in known and known[number].genotype != genotype:
                raise RunError(f"trial #{number} of the log is not the cell that the strategy asks for: {OTHER_CODE}")
            genotypes.append(genotype)
            original = originals.setdefault(genotype.key, number)
            if original == number and number not in known:
                again = (config.repetition,) if config.repetition else ()
                seed = stream(config.seed, "candidate", genotype.key, *again)
                halfway = stopping.halfway(stream(config.seed, "halfway", number))
                job = Job(number=number, genotype=genotype, seed=seed, halfway=_judged_by(halfway, config.candidate))
                waiting.append(job)
        asked = genotypes[told]
        original = originals[asked.key]
        if told not in known and original != told:
            record(told, replace(known[original], number=told, genotype=asked, repeat_of=original, seconds=0.0))
        while told not in known:
            for trial in collect(executor, waiting):
                record(trial.number, trial)
                guard.observe(trial)
        strategy.tell(known[told])
        stopping.observe(known[told].halfway_reward if original == told else None)  # a repeat says nothing new
        after_tell(known[told])


def _judged_by(halfway: Halfway, config: CandidateConfig) -> Halfway | None:
    """Choose what a candidate is judged by half-way: `halfway`, what lets all go on, or nothing."""
    if config.early_stop:
        return halfway
    return Halfway(mean=0.0, slack=0.0, draw=0.0) if config.measure_halfway else None


if __name__ == "__main__":
    run_command("nas.search", Arguments, SearchConfig, main)
