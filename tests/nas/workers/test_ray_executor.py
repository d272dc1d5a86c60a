"""What only Ray's workers do: they hang, die and live elsewhere. The common contract is in test_executor.py."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
import ray.cloudpickle

from nas.workers.ray_executor import RayExecutor

ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])


def make_work():
    """Work that sleeps for a number's time, dies at once or on the first try, or returns what cannot travel."""

    def work(job):
        match job:
            case "die":
                os._exit(3)
            case Path():
                if not job.exists():
                    job.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
            case "lock":
                return threading.Lock()
            case "exit":
                sys.exit(5)
            case float():
                time.sleep(job)
        return os.getpid()

    return work


@pytest.fixture(scope="module")
def executor(ray_session):
    """One worker, for all tests that leave it idle: workers take seconds to start."""
    executor = RayExecutor(make_work, workers=1, timeout=60)
    yield executor
    executor.close()


def finish(executor, *jobs):
    for job in jobs:
        executor.submit(job)
    return collect(executor, {}, len(jobs))


def collect(executor, results, count):
    """Wait for results until there are so many; for ten minutes, which ends a test that hangs and hurries none."""
    end = time.monotonic() + 600
    while len(results) < count:
        assert time.monotonic() < end, f"only {results} after ten minutes"
        results |= {result.job: result for result in executor.poll(5.0)}
    return results


def test_a_job_is_tried_again_when_its_worker_dies_once(executor, tmp_path, caplog):
    job = tmp_path / "tried"
    result = finish(executor, job)[job]
    assert (result.error, job.exists()) == (None, True)
    assert "is replaced: crash: the worker died" in caplog.text


def test_a_value_that_cannot_travel_is_an_error_of_its_job_alone(executor):
    assert finish(executor, "lock")["lock"].error == "TypeError: cannot pickle '_thread.lock' object"
    after = finish(executor, 0.0)[0.0]
    assert after.value == int(after.worker.rpartition(":")[2])


@pytest.mark.slow
@pytest.mark.parametrize(("job", "reason"), [("die", "ActorDiedError"), ("exit", "exit code 5")])
def test_a_job_that_kills_two_workers_has_crashed_and_the_next_goes_on(executor, job, reason):
    result = finish(executor, job)[job]
    assert result.value is None
    assert result.error.startswith("crash: the worker died; ")
    assert reason in result.error
    assert "\n" not in result.error
    assert finish(executor, 0.1)[0.1].error is None


def test_a_hanging_job_is_given_up_without_disturbing_the_others(ray_session):
    executor = RayExecutor(make_work, workers=2, timeout=900)
    for job in (1000.0, 0.2):
        executor.submit(job)
    results = collect(executor, {}, 1)
    assert results[0.2].error is None
    while not (hanging := [slot for slot in executor._slots if slot.task]):
        executor.poll(0.1)
    hanging[0].limit = 0.5  # only now, so that a slow machine does not run the other job into it
    results = collect(executor, results, 2)
    assert (results[1000.0].value, results[1000.0].error) == (None, "timeout: no result after 0.5 s")
    assert results[1000.0].seconds >= 0.5
    assert results[1000.0].worker != results[0.2].worker
    again = finish(executor, 0.1, 0.2)  # the other worker does one; a fresh one takes the place of the killed
    assert {again[0.1].error, again[0.2].error} == {None}
    executor.close()
    assert ray_session.is_initialized()  # it was there before


@pytest.mark.slow
def test_a_job_for_which_no_worker_survives_its_start_has_crashed(ray_session):
    executor = RayExecutor(lambda: os._exit(7), workers=2)
    results = finish(executor, "a", "b")
    assert {results["a"].worker, results["b"].worker} == {""}
    assert all(result.error.startswith("crash: the worker died; ActorDiedError") for result in results.values())
    executor.close()


def test_a_worker_that_never_gets_ready_is_given_up(ray_session, monkeypatch):
    def make_never():
        time.sleep(1000)

    monkeypatch.setattr("nas.workers.ray_executor.START_LIMIT", 1.0)
    executor = RayExecutor(make_never, workers=1)
    assert finish(executor, "any")["any"].error == "timeout: no worker was ready after 1 s"
    executor.close()


SCRIPT = """
import os, signal, sys, time

def make():
    def work(job):
        if job == "die": os.kill(os.getpid(), signal.SIGKILL)
        if job == "hang": time.sleep(1000)
        if job == "print": print("a word on stdout"); print("and on stderr", file=sys.stderr)
        if job == "node":
            import ray
            time.sleep(4)
            return ray.get_runtime_context().get_node_id()
    return work

def finish(executor, job):
    executor.submit(job)
    while not (results := executor.poll(5.0)): pass
    return results[0]

if __name__ == "__main__":
    from nas.workers.ray_executor import RayExecutor
    %s
"""


def start_script(tmp_path, body, **environment):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT % "\n    ".join(body.strip().splitlines()))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | environment
    return subprocess.Popen(
        [sys.executable, str(script)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job inherits it ignored
    )


@pytest.mark.slow
def test_a_private_ray_says_nothing_and_leaves_no_process(tmp_path):
    process = start_script(
        tmp_path,
        """
import logging; logging.disable(logging.WARNING)
executor = RayExecutor(make, workers=2, timeout=2.0)
for job in ("print", "die", "hang"): finish(executor, job)
import psutil; ours = psutil.Process().children(recursive=True); executor.close()
import ray; assert not ray.is_initialized()
assert len(ours) > 4 and not psutil.wait_procs(ours, timeout=60)[1]
""",
    )
    assert process.communicate(timeout=600) == ("", None)
    assert process.returncode == 0


@pytest.mark.slow
def test_a_dashboard_that_is_late_and_not_wanted_is_no_news(tmp_path):
    body = "executor = RayExecutor(make, workers=1); print(finish(executor, 1).error); executor.close()"
    process = start_script(tmp_path, body, RAY_DASHBOARD_STARTUP_TIMEOUT_S="0")  # always late, as if a machine starved
    assert process.communicate(timeout=600) == ("None\n", None)


@pytest.mark.slow
def test_control_c_ends_a_search_on_ray_with_all_its_workers(tmp_path):
    process = start_script(
        tmp_path,
        """
executor = RayExecutor(make, workers=1)
try:
    print("up", finish(executor, 1).error, flush=True); finish(executor, "hang")
except KeyboardInterrupt:
    print("interrupted")
finally:
    executor.close()
""",
    )
    assert process.stdout.readline() == "up None\n"
    ours = psutil.Process(process.pid).children(recursive=True)
    time.sleep(1.0)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all processes in front
    assert process.communicate(timeout=600)[0] == "interrupted\n"
    assert process.returncode == 0
    assert not psutil.wait_procs(ours, timeout=60)[1]


@pytest.mark.slow
def test_a_job_survives_the_loss_of_its_node_where_another_worker_is_left(tmp_path):
    process = start_script(
        tmp_path,
        """
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
executor = RayExecutor(make, workers=2, address=cluster.address)
executor.submit("node"); executor.submit("node")
while not all(slot.task for slot in executor._slots): executor.poll(0.1)
cluster.remove_node(nodes[0], allow_graceful=False)
results = []
while len(results) < 2: results += executor.poll(1.0)
print([r.error for r in results], len({r.value for r in results}))
executor.close(); cluster.shutdown()
""",
    )
    text, _ = process.communicate(timeout=600)
    assert "[None, None] 1" in text.splitlines(), text  # both done, on the one node that was left
