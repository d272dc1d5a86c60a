"""Executor: where jobs are done, in this process (here) or in Ray actors (`ray_executor.py`).

It knows nothing of what a job is. A job that fails is a result with a reason, never an exception, so that one bad
candidate cannot end a search. Results come in the order of finishing; who needs another order sorts them.
"""

import os
import socket
import textwrap
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, Protocol, TypeVar

from nas.settings.allocator import keep_freed_memory

J = TypeVar("J")
V = TypeVar("V")
MakeWork = Callable[[], Callable[[J], V]]

ERROR_LENGTH = 500  # characters of an exception's message that are kept


@dataclass(frozen=True)
class Result(Generic[J, V]):
    """Outcome of a job."""

    job: J
    value: V | None
    """Value that the work returned; None if it failed."""
    error: str | None
    """Reason of a failure, one line `kind: message`, where kind is an exception's class, `timeout` or `crash`; None
    exactly if the work returned."""
    worker: str
    """`host:pid` of the process that did it; empty if none ever got ready."""
    seconds: float
    """Wall time of the work; of a killed worker, until it was given up."""


class Executor(Protocol[J, V]):
    """Takes jobs while it has free slots, and gives results back when polled."""

    def submit(self, job: J) -> None:
        """Hand over a job. Raises ValueError if no slot is free."""

    def poll(self, timeout: float) -> list[Result[J, V]]:
        """Wait up to `timeout` seconds for at least one result; return [] at once if no job is under way."""

    def free_slots(self) -> int:
        """Count the jobs that can be submitted now."""

    def close(self) -> None:
        """Give up what is under way and release the workers; closing twice is harmless."""


def describe(error: BaseException) -> str:
    """Return an exception as one line, `ValueError: message`, cut at 500 characters."""
    return f"{type(error).__name__}: {textwrap.shorten(str(error), ERROR_LENGTH) or '(no message)'}"


class Worker(Generic[J, V]):
    """The part that every executor runs: it makes the work once, and turns the work's exceptions into results.

    Args:
        make_work: builds the work; called again for the next job if it raised.
        threads: CPU threads of PyTorch in this process.
    """

    def __init__(self, make_work: MakeWork[J, V], threads: int) -> None:
        self._make_work = make_work
        self._threads = threads
        self._name = f"{socket.gethostname()}:{os.getpid()}"

    @cached_property
    def _work(self) -> Callable[[J], V]:
        import torch  # here, because who only asks for --help should not wait for it

        torch.set_num_threads(self._threads)
        keep_freed_memory()
        return self._make_work()

    def prepare(self) -> str:
        """Do what need not be done again for later jobs; return the worker's name."""
        with suppress(Exception):  # `run` meets it again and reports it
            self._work  # noqa: B018 (a cached property)
        return self._name

    def run(self, job: J) -> Result[J, V]:
        """Do one job."""
        start = time.perf_counter()
        value, error = None, None
        try:
            value = self._work(job)
        except Exception as exception:  # any: a candidate may fail in any way, and it must not take the search along
            error = describe(exception)
        return Result(job, value, error, self._name, time.perf_counter() - start)


class InlineExecutor(Generic[J, V]):
    """One job at a time, in this process, inside `poll`.

    Neither the timeout of `poll` nor any other can be enforced on the work, and work that crashes or exhausts the
    memory takes this process along; for that there is Ray. Ctrl-C in the work passes through `poll`.
    """

    def __init__(self, make_work: MakeWork[J, V], *, threads: int = 1) -> None:
        self._worker = Worker(make_work, threads)
        self._jobs: list[J] = []

    def submit(self, job: J) -> None:
        if not self.free_slots():
            raise ValueError("no free slot: poll the running job before submitting another")
        self._jobs.append(job)

    def poll(self, timeout: float) -> list[Result[J, V]]:
        return [self._worker.run(self._jobs.pop())] if self._jobs else []

    def free_slots(self) -> int:
        return 1 - len(self._jobs)

    def close(self) -> None:
        self._jobs.clear()
