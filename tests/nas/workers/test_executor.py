"""The contract of executors, held by all of them, and what is particular to the inline one."""

import os
import sys
import time
from itertools import count

import pytest
import ray.cloudpickle
import torch

from nas.workers.executor import InlineExecutor, describe

# Workers of Ray cannot import test modules: what they need of this one travels with the jobs.
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])


class UnpicklableError(Exception):
    def __init__(self, message):
        super().__init__(message)
        self.frame = sys._getframe()


def make_work():
    """Work that squares numbers, fails at some words, and tells of itself at others."""
    calls, threads = count(1), torch.get_num_threads()

    def work(job):
        call = next(calls)
        match job:
            case "lines":
                raise ValueError("the first line\n  and the second")
            case "unpicklable":
                raise UnpicklableError("it holds a frame")
            case "silent":
                raise MemoryError
            case "about":
                return os.getpid(), call, threads
        return job * job

    return work


def fail_to_make():
    raise FileNotFoundError("no features\nat /nowhere")


def open_executor(kind, request, make):
    if kind == "inline":
        return InlineExecutor(make, threads=1)
    request.getfixturevalue("ray_session")
    from nas.workers.ray_executor import RayExecutor

    return RayExecutor(make, workers=2, threads=1, timeout=60)


@pytest.fixture(scope="module", params=["inline", "ray"])
def kind(request):
    threads = torch.get_num_threads()
    yield request.param
    torch.set_num_threads(threads)  # the inline executor sets this process's


@pytest.fixture(scope="module")
def executor(kind, request):
    """One for all tests that leave it idle: Ray's workers take seconds to start."""
    executor = open_executor(kind, request, make_work)
    yield executor
    executor.close()


def work_through(executor, jobs, limit=60.0):
    """Every job's result, in the order of finishing."""
    waiting, results, end = list(jobs), [], time.monotonic() + limit
    while len(results) < len(jobs):
        assert time.monotonic() < end, f"only {results} after {limit} s"
        while waiting and executor.free_slots():
            executor.submit(waiting.pop(0))
        results += executor.poll(5.0)
    return results


def test_every_job_comes_back_once_with_its_value(executor):
    results = work_through(executor, range(20))
    assert sorted((r.job, r.value) for r in results) == [(n, n * n) for n in range(20)]
    assert all(r.error is None and r.seconds >= 0 for r in results)
    assert all(r.worker.rpartition(":")[2].isdecimal() for r in results)


def test_the_job_of_a_result_is_the_one_that_was_submitted_and_no_copy(executor):
    job = 10**6  # a whole number that Python keeps no single copy of
    assert work_through(executor, [job])[0].job is job


def test_an_exception_is_a_result_of_one_line_and_the_worker_goes_on(executor):
    results = work_through(executor, ["lines", "unpicklable", "silent", 3])
    assert {r.job: (r.value, r.error) for r in results} == {
        "lines": (None, "ValueError: the first line and the second"),
        "unpicklable": (None, "UnpicklableError: it holds a frame"),
        "silent": (None, "MemoryError: (no message)"),
        3: (9, None),
    }


def test_the_work_is_made_once_in_a_process_after_its_threads_are_set(executor):
    abouts = [r.value for r in work_through(executor, ["about"] * 6)]
    assert len(set(abouts)) == 6  # a process that made the work again would count its calls from 1 again
    assert {threads for _, _, threads in abouts} == {1}


def test_slots_are_taken_by_submitting_and_freed_by_results(executor):
    slots = executor.free_slots()
    for job in range(slots):
        assert executor.free_slots() == slots - job
        executor.submit(job)
    with pytest.raises(ValueError, match="no free slot"):
        executor.submit("one too many")
    results = []
    while executor.free_slots() < slots:
        results += executor.poll(30.0)
    assert len(results) == slots


def test_polling_without_jobs_returns_at_once(executor):
    start = time.monotonic()
    assert executor.poll(30.0) == []
    assert time.monotonic() - start < 5


def test_work_that_cannot_be_made_fails_each_job_until_the_executor_is_closed(kind, request):
    executor = open_executor(kind, request, fail_to_make)
    results = work_through(executor, ["a", "b", "c"])
    assert sorted(r.job for r in results) == ["a", "b", "c"]
    assert {r.error for r in results} == {"FileNotFoundError: no features at /nowhere"}
    executor.submit("dropped")
    executor.close()
    executor.close()
    assert executor.poll(0.0) == []


def test_control_c_in_the_work_passes_through_the_inline_executor():
    def make_interrupt():
        def interrupt(job):
            raise KeyboardInterrupt

        return interrupt

    executor = InlineExecutor(make_interrupt, threads=torch.get_num_threads())
    executor.submit("any")
    with pytest.raises(KeyboardInterrupt):
        executor.poll(0.0)


def test_long_messages_are_cut_to_something_a_log_can_hold():
    text = describe(RuntimeError("word " * 1000))
    assert text.startswith("RuntimeError: word word")
    assert len(text) < 550
