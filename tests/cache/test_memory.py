"""The memory that a process may use, whoever limits it."""

import os

import pytest

from cache.memory import usable_memory

GIB = 2**30
V2 = {"proc/self/cgroup": "0::/app/job\n"}
V1 = {"proc/self/cgroup": "4:cpu:/\n5:memory:/docker/1\n"}


@pytest.fixture(autouse=True)
def _sixteen_gib(monkeypatch):
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2**22}.get)


@pytest.mark.parametrize(
    ("files", "gib"),
    [
        pytest.param({}, 16, id="no control groups"),
        pytest.param(V2 | {"sys/fs/cgroup/memory.max": "max\n"}, 16, id="no limit"),
        pytest.param(V2 | {"sys/fs/cgroup/memory.max": f"{3 * GIB}\n"}, 3, id="a container"),
        pytest.param(V2 | {"sys/fs/cgroup/memory.max": f"{99 * GIB}\n"}, 16, id="a limit above the machine"),
        pytest.param(
            V2 | {"sys/fs/cgroup/app/memory.max": f"{8 * GIB}\n", "sys/fs/cgroup/app/job/memory.max": f"{4 * GIB}\n"},
            4,
            id="the tightest group counts",
        ),
        pytest.param(V1 | {"sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2 * GIB}\n"}, 2, id="version 1"),
        pytest.param(
            V1 | {"sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes": "9223372036854771712\n"},
            16,
            id="version 1 without a limit",
        ),
    ],
)
def test_a_limit_of_the_control_groups_limits_the_memory(files, gib, tmp_path):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert usable_memory(tmp_path) == gib * GIB


def test_this_process_may_use_no_more_than_the_machine_has(monkeypatch):
    monkeypatch.undo()
    assert 0 < usable_memory() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
