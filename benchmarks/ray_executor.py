"""Costs and gains of Ray: overhead of a trial, workers against threads, memory of the features, a crowd of workers.

    python benchmarks/ray_executor.py [--workers 2] [--crowd 64] [--only overhead candidates crowd]

overhead    Trials that do nothing, one at a time, on Ray less in this process.
candidates  6 cells of the `video` space on made-up features of 180x240, on N workers of 1 thread and on 1 worker of N
            threads, with equal results; and what the features take in the memory of N workers, where "proportional"
            divides each page by the number of processes that share it.
crowd       A search with a crowd of workers whose trials sleep for 0.5 to 1.5 s: the share of the time in which they
            work. They are Ray's own actors and the driver is the real one, log included; they only leave PyTorch out,
            so that a crowd fits a small machine. Cells are drawn at random: the driver's time for PPO is a line of its
            own, as it depends on the policy and not on Ray.
"""

import argparse
import random
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from unittest import mock

import numpy as np
import torch
from machine import headline
from made_up import build_cache, candidate_spec, made_up
from tabulate import tabulate

from nas.runs.store import RunStore
from nas.runs.trial import Trial
from nas.search import search
from nas.settings.config import SearchConfig
from nas.strategies.catalog import make_strategy
from nas.strategies.strategy import Strategy
from nas.training.candidates.early_stopping import EarlyStopping
from nas.training.candidates.evaluator import EvaluatorSpec
from nas.training.candidates.job import Job
from nas.workers.executor import Executor, InlineExecutor, Result, Worker
from searchspace.space import Space

SPACE: Final = Space.load("video")
ROUNDS: Final = 20  # trials of each worker of the crowd
Row = tuple[str, float, str]


def main() -> None:
    """Run the parts and print the table."""
    parts: dict[str, Callable[[argparse.Namespace], Iterator[Row]]] = {
        "overhead": overhead,
        "candidates": candidates,
        "crowd": crowd,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2, help="N; as many as there are cores")
    parser.add_argument("--crowd", type=int, default=64, help="workers that sleep")
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts))
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row for part in options.only for row in parts[part](options)]
    print(headline())
    print(tabulate(rows, ["", "", "target"], tablefmt="github", floatfmt=".1f"))


def make_nothing() -> Callable[[Any], None]:
    """Make work that does nothing."""
    return lambda job: None


def overhead(options: argparse.Namespace) -> Iterator[Row]:
    """Measure the milliseconds of a trivial trial."""
    from nas.workers.ray_executor import RayExecutor

    executors: dict[str, Executor[Any, None]] = {
        "in process": InlineExecutor(make_nothing),
        "on Ray": RayExecutor(make_nothing, workers=1),
    }
    spans: dict[str, list[float]] = {name: [] for name in executors}
    for executor in executors.values():
        run_all(executor, [0])  # from here on its worker is ready
    for _ in range(5):
        for name, executor in executors.items():
            start = time.perf_counter()
            run_all(executor, range(100))
            spans[name].append(10 * (time.perf_counter() - start))
    for name, executor in executors.items():
        executor.close()
        yield f"a trivial trial {name}, ms", min(spans[name]), "50" if name == "on Ray" else ""


def candidates(options: argparse.Namespace) -> Iterator[Row]:
    """Measure candidates an hour of two ways to use the cores, and megabytes of features."""
    from nas.workers.ray_executor import RayExecutor

    rng, many = np.random.default_rng(0), options.workers
    jobs = [Job(number=number, genotype=SPACE.uniform(rng), seed=number) for number in range(6)]
    rewards = []
    with tempfile.TemporaryDirectory() as folder:
        spec = made_up_spec(Path(folder))
        for workers, threads in ((many, 1), (1, many)):
            with closing(RayExecutor(spec.build, workers=workers, threads=threads)) as executor:
                run_all(executor, jobs[:1] * workers)  # what is loaded and compiled on first use
                start = time.perf_counter()
                results = run_all(executor, jobs)
                pace = 3600 * len(jobs) / (time.perf_counter() - start)
                yield f"candidates an hour, {workers} workers x {threads} threads", pace, ""
                assert all(r.value is not None for r in results), [r.error for r in results]
                rewards.append({r.job.number: r.value.reward for r in results})
                if workers > 1:
                    yield from memory(spec.cache_path, {int(r.worker.rpartition(":")[2]) for r in results})
    for number, reward in rewards[0].items():
        assert abs(reward - rewards[1][number]) < 1e-2, "more differ than the last digits, in which threads sum"


def memory(path: Path, processes: set[int]) -> Iterator[Row]:
    """Measure the megabytes that the mapped `path` takes in some processes."""
    taken = {"Rss": 0, "Pss": 0}
    for process in processes:
        inside = False
        for line in Path(f"/proc/{process}/smaps").read_text().splitlines():
            name, _, value = line.partition(":")
            if "-" in name.split()[0]:  # a mapping begins
                inside = line.endswith(str(path))
            elif inside and name in taken:
                taken[name] += int(value.split()[0])
    size = path.stat().st_size / 1e6
    yield f"features in {len(processes)} workers, resident, MB", taken["Rss"] * 1.024e-3, ""
    yield f"features in {len(processes)} workers, proportional, MB", taken["Pss"] * 1.024e-3, f"{size:.1f}, one copy"
    rollups = [Path(f"/proc/{process}/smaps_rollup").read_text() for process in processes]
    whole = [int(line.split()[1]) for text in rollups for line in text.splitlines() if line.startswith("Pss:")]
    yield f"all of {len(processes)} workers, proportional, MB", sum(whole) * 1.024e-3, ""


def made_up_spec(folder: Path) -> EvaluatorSpec:
    """Specify candidates that train for one epoch on 64 windows."""
    build_cache(folder, made_up(96, (180, 240)))
    return candidate_spec(folder)


class Sleeper(Worker[Job, Trial]):
    """Worker without PyTorch."""

    def __init__(self, make_work: Callable[[], Callable[[Job], Trial]], threads: int) -> None:
        super().__init__(make_work, threads)
        self.__dict__["_work"] = make_work()


def make_sleep() -> Callable[[Job], Trial]:
    """Make work that sleeps; a job without a genotype, which warms the worker up, is done at once."""

    def sleep(job: Job) -> Trial:
        if job.genotype is not None:
            time.sleep(0.5 + random.Random(job.seed).random())
        names = {"number": job.number, "fixed_point": job.fixed_point}
        return Trial(**names, genotype=job.genotype, status="finished", reward=0.5)

    return sleep


def crowd(options: argparse.Namespace) -> Iterator[Row]:
    """Measure the share of the time in which the workers of a search work."""
    from nas.workers.ray_executor import RayExecutor

    many = options.crowd
    config = SearchConfig(trials=ROUNDS * many, lookahead=2 * many, strategy="random")
    strategy = make_strategy(config, SPACE, [])
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch("nas.workers.ray_executor.Worker", Sleeper),
        closing(RayExecutor(make_sleep, workers=many)) as executor,
        RunStore.open(Path(folder, "run"), identity={}, config={}) as store,
    ):
        while len({r.worker for r in run_all(executor, [Job(fixed_point="warm", seed=0)] * many)}) < many:
            pass
        wall, cpu = time.perf_counter(), time.process_time()
        search(strategy, executor, store, config, EarlyStopping())
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        worked = sum(trial.seconds for trial in store.trials)
    yield f"{many} workers with trials of 1 s work, % of the time", 100 * worked / (many * wall), "90"
    yield "driver on Ray and the log, CPU ms a trial", 1e3 * cpu / config.trials, ""
    learner = make_strategy(replace(config, strategy="ppo"), SPACE, [])
    yield "driver on PPO, with a full buffer, CPU ms a trial", learning_time(learner, config.ppo.buffer), ""


def learning_time(strategy: Strategy, buffer: int) -> float:
    """Measure the CPU milliseconds of asking and telling once `buffer` trials have been told."""
    for number in range(buffer + 20):
        if number == buffer:
            start = time.process_time()
        trial = Trial(number=number, genotype=strategy.ask(), status="finished", reward=number % 7 / 7)
        strategy.tell(trial)
    return 1e3 * (time.process_time() - start) / 20


def run_all(executor: Executor[Any, Any], jobs: Sequence[Any]) -> list[Result[Any, Any]]:
    """Run all jobs; return their results in the order of finishing."""
    waiting, results = deque(jobs), list[Result[Any, Any]]()
    while len(results) < len(jobs):
        while waiting and executor.free_slots():
            executor.submit(waiting.popleft())
        results += executor.poll(1.0)
    return results


if __name__ == "__main__":
    main()
