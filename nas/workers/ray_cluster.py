"""Ray itself: started privately and silently, or joined where a person says so, with room for the workers.

Import Ray from here: some of its settings count only if they stand in the environment while it is imported.
"""

import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nas.settings.errors import RunError
from nas.workers.executor import describe

for name, value in {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # Ray's 15 starves workers beside any other load
    "RAY_DEDUP_LOGS_SKIP_REGEX": "A worker died or was killed|Task .* failed",  # printed whatever log_to_driver says
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # the default of late; earlier releases warn that it will be
}.items():
    os.environ.setdefault(name, value)

import ray as ray  # noqa: E402
from ray._private import ray_constants  # noqa: E402

# On a machine that starves Ray waits in vain for its dashboard process, though no dashboard is wanted, and goes on.
# What else this logger says as an error comes as an exception, too.
logging.getLogger("ray._private.services").setLevel(logging.CRITICAL)

OBJECT_STORE = 100 * 2**20  # bytes; only jobs and results travel, and Ray's default claims a third of the memory
PROBE_LIMIT = 5.0  # seconds; Ray itself tries an unreachable address for more than a minute


def connect(address: str, *, cpus: int) -> None:
    """Start a private Ray with `cpus` CPUs to give away (`local`), or join a cluster (`auto`, HOST:PORT).

    Raises:
        RunError: it does not start, or nothing that lets us in answers there.
    """
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address == "local":
            with _listen_on_loopback(), _keep_sigterm():
                ray.init("local", num_cpus=cpus, include_dashboard=False, object_store_memory=OBJECT_STORE, **quiet)
        else:
            _probe(os.environ.get("RAY_ADDRESS", "auto") if address == "auto" else address)
            with _keep_sigterm():
                ray.init(address, **quiet)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise RunError(_advice(address, error)) from error


@contextmanager
def _keep_sigterm() -> Iterator[None]:
    """Keep this process's answer to SIGTERM: Ray sets its own, which exits without a word, when it starts."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit as ended:
        raise KeyboardInterrupt from ended
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _listen_on_loopback() -> Iterator[None]:
    """Let Ray listen on this machine's loopback alone, as it does on macOS and Windows.

    Ray does what anybody asks for who reaches its ports, and elsewhere it listens on all of a machine's addresses.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def check_room(workers: int, cpus: int, gpus: float) -> None:
    """Raise RunError if the nodes, all together, have no room for these workers: some would wait for ever."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    room = sum(room_on(node["Resources"], cpus, gpus) for node in nodes if node["Alive"])
    if room < workers:
        raise RunError(
            f"{workers} Ray workers of {cpus} CPU and {gpus:g} GPU each do not fit, there is room for {room}; "
            "lower --workers, --threads or --gpus-per-worker, or use --device cpu"
        )


def room_on(resources: dict[str, float], cpus: int, gpus: float) -> int:
    """Count the workers of `cpus` CPUs and a share `gpus` of a GPU that a node with these resources holds."""
    by_cpu = int(resources.get("CPU", 0) // cpus)
    if not gpus:
        return by_cpu
    on_one_gpu = int(1 / gpus + 1e-9)  # a share never spans GPUs
    return min(by_cpu, int(resources.get("GPU", 0)) * on_one_gpu)


def _probe(address: str) -> None:
    """Knock at HOST:PORT. Raises OSError if nothing answers, ValueError if it is no address."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise ValueError("an address is written `local`, `auto` or HOST:PORT")
    socket.create_connection((host, int(port)), timeout=PROBE_LIMIT).close()


def _advice(address: str, error: Exception) -> str:
    reason = describe(error)
    if address == "local":
        return f"Ray did not start on this machine ({reason}); `--executor inline` works without it"
    return (
        f"no Ray cluster could be joined at --address {address} ({reason}). Start one with `ray start --head`, check "
        "host and port, or use `--address local`. If the cluster asks for a token, set RAY_AUTH_MODE=token and give "
        "every host the same ~/.ray/auth_token"
    )
