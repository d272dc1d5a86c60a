"""RayExecutor: jobs in Ray actors, which may crash, hang or be shot without taking the search along.

Import it only when it is used: Ray takes half a second to import and 2.5 s to start. Every node must have the same
installation of this project. Ray's own restarts and retries lose track of a job and Ray enforces no time limit
(measured on 2.60), so both are done here, over plain actors and `ray.wait`, at 1 ms a job.
"""

import logging
import textwrap
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import Any, Generic

from nas.workers.executor import J, MakeWork, Result, V, Worker, describe
from nas.workers.ray_cluster import check_room, connect, ray

logger = logging.getLogger(__name__)

START_LIMIT = 600.0  # seconds for a worker to be placed, to import and to make its work


@dataclass
class _Task(Generic[J]):
    """A job under way."""

    job: J
    losses: int = 0  # workers that were lost on it


@dataclass
class _Slot(Generic[J]):
    """Room for one worker: empty, starting, idle or running a task."""

    actor: Any = None  # None: empty
    worker: str = ""  # `host:pid` once it is ready
    task: _Task[J] | None = None
    call: Any = None  # what is awaited: that it is ready, or its task
    since: float = 0.0  # of the call
    limit: float = 0.0

    @property
    def ready(self) -> bool:
        return bool(self.worker)

    def expect(self, call: Any, limit: float) -> None:  # noqa: ANN401 (Ray's references have no type of use here)
        self.call, self.since, self.limit = call, time.monotonic(), limit

    def failure(self, task: _Task[J], error: str) -> Result[J, Any]:
        return Result(task.job, None, error, self.worker, time.monotonic() - self.since)

    def clear(self) -> None:
        """Kill the worker, if there is one."""
        if self.actor is not None:
            ray.kill(self.actor)
        self.actor, self.worker, self.task, self.call = None, "", None, None


class RayExecutor(Generic[J, V]):
    """`workers` persistent actors, each doing one job at a time.

    A worker whose job takes longer than `timeout` is killed and the job fails with `timeout: ...`; the clock starts
    when a worker that is ready takes the job. A job whose worker dies is tried once more and then fails with
    `crash: ...`. Fresh workers replace dead ones while there are jobs for them, where the cluster has room.

    Args:
        make_work: picklable; builds the work, once in each worker.
        workers: actors, all of which must fit the cluster at once.
        threads: CPU threads of PyTorch in each worker, and the CPUs it claims.
        gpus_per_worker: share of a GPU that each worker claims, in [0, 1]; it bounds no memory.
        address: `local` starts a private Ray, `auto` or HOST:PORT joins a cluster. Ignored if this process already
            uses Ray, which is then left running by `close`.
        timeout: seconds for one job, well above the 4 s that Ray may need to notice a death.

    Raises:
        RunError: Ray does not start, the cluster cannot be joined, or the workers do not fit.
    """

    def __init__(
        self,
        make_work: MakeWork[J, V],
        *,
        workers: int,
        threads: int = 1,
        gpus_per_worker: float = 0.0,
        address: str = "local",
        timeout: float = 3600.0,
    ) -> None:
        self._make_work = make_work
        self._threads = threads
        self._timeout = timeout
        self._slots: list[_Slot[J]] = [_Slot() for _ in range(workers)]
        self._waiting: deque[_Task[J]] = deque()
        self._actor_class = ray.remote(Worker).options(
            num_cpus=threads, num_gpus=gpus_per_worker, max_restarts=0, max_task_retries=0
        )
        self._owns_ray = not ray.is_initialized()
        try:
            if self._owns_ray:
                connect(address, cpus=workers * threads)
            check_room(workers, threads, gpus_per_worker)
        except BaseException:
            self.close()
            raise

    def submit(self, job: J) -> None:
        if not self.free_slots():
            raise ValueError(f"no free slot: all {len(self._slots)} workers have a job; poll before submitting another")
        self._waiting.append(_Task(job))
        self._assign()

    def poll(self, timeout: float) -> list[Result[J, V]]:
        end = time.monotonic() + timeout
        results: list[Result[J, V]] = []
        while not results and self.free_slots() < len(self._slots):
            self._assign()
            active = [slot for slot in self._slots if slot.call is not None]
            until = min(end, *(slot.since + slot.limit for slot in active))
            calls = [slot.call for slot in active]
            ray.wait(calls, timeout=max(0.0, until - time.monotonic()))
            done, _ = ray.wait(calls, num_returns=len(calls), timeout=0)  # all of them: the driver may have been away
            for slot in active:
                result = self._advance(slot) if slot.call in done else self._check_time(slot)
                results += [result] if result is not None else []
            if time.monotonic() >= end:
                break
        return results

    def free_slots(self) -> int:
        return len(self._slots) - len(self._waiting) - sum(slot.task is not None for slot in self._slots)

    def close(self) -> None:
        self._waiting.clear()
        for slot in self._slots:
            slot.clear()
        if self._owns_ray:
            ray.shutdown()
            self._owns_ray = False

    def _assign(self) -> None:
        """Give waiting jobs to idle workers, and start a worker for each job that is left over."""
        idle = [slot for slot in self._slots if slot.ready and slot.task is None]
        for slot in idle[: len(self._waiting)]:
            slot.task = self._waiting.popleft()
            slot.expect(slot.actor.run.remote(slot.task.job), self._timeout)
        starting = sum(slot.actor is not None and not slot.ready for slot in self._slots)
        empty = [slot for slot in self._slots if slot.actor is None]
        for slot in empty[: max(0, len(self._waiting) - starting)]:
            slot.actor = self._actor_class.remote(self._make_work, self._threads)
            slot.expect(slot.actor.prepare.remote(), START_LIMIT)

    def _advance(self, slot: _Slot[J]) -> Result[J, V] | None:
        """Take the answer to a slot's call; return a job's result if that was one."""
        try:
            answer: str | Result[J, V] = ray.get(slot.call)
        except ray.exceptions.RayError as error:
            if isinstance(error, ray.exceptions.RayTaskError) and slot.task:  # it lives, but its value cannot be sent
                answer = slot.failure(slot.task, describe(error.cause))
            else:
                reason = textwrap.shorten(str(error).strip().splitlines()[-1], 250)
                return self._lose(slot, f"crash: the worker died; {type(error).__name__}: {reason}", tries=2)
        slot.call = None
        if isinstance(answer, str):
            slot.worker = answer
            return None
        task, slot.task = slot.task, None
        assert task is not None
        return replace(answer, job=task.job)  # the very one that was submitted, and not its copy that travelled

    def _check_time(self, slot: _Slot[J]) -> Result[J, V] | None:
        """Give a worker up that is over its limit."""
        if time.monotonic() < slot.since + slot.limit:
            return None
        what = "no result" if slot.task else "no worker was ready"
        return self._lose(slot, f"timeout: {what} after {slot.limit:g} s", tries=1)

    def _lose(self, slot: _Slot[J], error: str, tries: int) -> Result[J, V] | None:
        """Kill a slot's worker; its job waits again, or fails if it has cost `tries` workers.

        A worker lost while it started is charged to the job that waits longest, unless others are there to do it.
        """
        task = slot.task
        if task is None and self._waiting and not any(other.ready for other in self._slots):
            task = self._waiting.popleft()
        result = None
        if task is not None:
            task.losses += 1
            if task.losses >= tries:
                result = slot.failure(task, error)
            else:
                self._waiting.appendleft(task)
        if result is None:
            logger.warning("worker %s is replaced: %s", slot.worker or "(starting)", error)
        slot.clear()
        return result
