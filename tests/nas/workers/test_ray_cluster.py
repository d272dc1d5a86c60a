"""Starting and joining Ray: nobody's cluster unasked, no waiting for what cannot come, a way out in every message."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from nas.settings.errors import RunError
from nas.workers.ray_cluster import check_room, connect, ray, room_on


@pytest.mark.parametrize(
    ("cpus", "gpus", "node", "room"),
    [
        (1, 0.0, {"CPU": 4.0}, 4),
        (2, 0.0, {"CPU": 3.0, "GPU": 1.0}, 1),
        (1, 1.0, {"CPU": 8.0, "GPU": 2.0}, 2),
        (1, 0.1, {"CPU": 64.0, "GPU": 1.0}, 10),
        pytest.param(1, 0.6, {"CPU": 8.0, "GPU": 2.0}, 2, id="a share never spans GPUs, though 3 x 0.6 < 2"),
        (1, 0.5, {"CPU": 3.0, "GPU": 2.0}, 3),
        (1, 0.5, {}, 0),
    ],
)
def test_room_on_a_node(cpus, gpus, node, room):
    assert room_on(node, cpus, gpus) == room


@pytest.mark.parametrize(
    ("needs", "message"),
    [
        ((9, 1, 0.0), "9 Ray workers of 1 CPU and 0 GPU each do not fit, there is room for 8"),
        ((3, 4, 0.0), "3 Ray workers of 4 CPU and 0 GPU each do not fit, there is room for 2"),
        ((9, 1, 0.5), "--gpus-per-worker"),
    ],
)
def test_workers_that_would_wait_for_ever_are_refused(ray_session, needs, message):
    check_room(8, 1, 0.0)
    with pytest.raises(RunError, match=message):
        check_room(*needs)


def test_nobody_reaches_a_private_ray_from_another_machine(ray_session):
    family = {process.pid for process in [psutil.Process(), *psutil.Process().children(recursive=True)]}
    sockets = [each for each in psutil.net_connections(kind="inet") if each.pid in family]
    listening = {each.laddr.ip.removeprefix("::ffff:") for each in sockets if each.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}
    assert not ray_session._private.worker.get_dashboard_url()


@pytest.mark.parametrize("address", ["nonsense", "host:port", "ray://127.0.0.1:10001", ":6379"])
def test_an_address_that_is_none_is_refused_by_its_form(address):
    with pytest.raises(RunError, match="written `local`, `auto` or HOST:PORT"):
        connect(address, cpus=1)


@pytest.mark.parametrize("through_environment", [False, True])
def test_a_port_without_ray_is_told_within_seconds(through_environment, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nothing answers there
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        start = time.monotonic()
        with pytest.raises(RunError, match=r"no Ray cluster could be joined.*RAY_AUTH_MODE"):
            connect("auto" if through_environment else address, cpus=1)
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    ("address", "error", "advice"),
    [
        ("auto", ConnectionError("Could not find any running Ray instance."), "Start one with `ray start --head`"),
        ("auto", RuntimeError("Version mismatch: the cluster was started with Ray 2.40"), "Ray 2.40"),
        ("local", RuntimeError("the raylet exited"), "`--executor inline` works without it"),
    ],
)
def test_what_ray_says_is_told_with_a_way_out(address, error, advice, monkeypatch):
    def refuse(*args, **kwargs):
        raise error

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(RunError, match=re.escape(str(error))) as caught:
        connect(address, cpus=1)
    assert advice in str(caught.value)


JOIN = """
import sys
from nas.settings.errors import RunError
from nas.workers.ray_cluster import connect, ray
try:
    connect(sys.argv[1], cpus=1)
    print("marked" in ray.cluster_resources())
    ray.shutdown()
except RunError as error:
    print(error)
"""


@pytest.fixture
def ray_folder():
    """Where Ray notes which cluster runs here, apart from the one of other tests; a short path, for sockets."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="dyncell-", ignore_cleanup_errors=True) as folder:
        yield folder


def clean_environment(ray_folder):
    return {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | {"RAY_TMPDIR": ray_folder}


def join(address, ray_folder, **environment):
    command, environment = [sys.executable, "-c", JOIN, address], clean_environment(ray_folder) | environment
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120).stdout.strip()


@pytest.fixture
def running_head(ray_folder):
    """HOST:PORT of somebody else's cluster on this machine, with a resource to know it by."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--include-dashboard=false", "--disable-usage-stats", "--num-cpus=1", '--resources={"marked": 1}']
    command = [Path(sys.executable).with_name("ray"), "start", "--head", "--block", f"--port={port}", *options]
    log = Path(ray_folder, "head.log")
    with log.open("w") as file:
        head = psutil.Popen(command, stdout=file, stderr=file, env=clean_environment(ray_folder))
    try:
        while head.poll() is None and "runtime started" not in log.read_text():
            time.sleep(0.2)
        yield f"127.0.0.1:{port}"
    finally:
        for process in [*head.children(recursive=True), head]:
            process.kill()


@pytest.mark.slow
def test_a_running_cluster_is_joined_only_where_it_is_asked_for(running_head, ray_folder):
    assert join("local", ray_folder) == "False"
    assert join("auto", ray_folder) == "True"
    assert join(running_head, ray_folder, RAY_AUTH_MODE="token") == "True"
    without_token = join(running_head, ray_folder)
    assert without_token == "True" or "set RAY_AUTH_MODE=token" in without_token


def test_sigterm_while_ray_starts_is_heard_as_ctrl_c_and_afterwards_as_before(monkeypatch):
    def start(*words, **settings):
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))  # as Ray does
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(ray, "init", start)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        connect("local", cpus=1)
    assert signal.getsignal(signal.SIGTERM) == before
