"""The cores that a process may use, whoever limits them."""

import os

import pytest

from cache.cores import usable_cores

FREE = {"proc/self/cgroup": "0::/\n"}
V2 = {"proc/self/cgroup": "0::/app/job\n"}
V1 = {"proc/self/cgroup": "5:memory:/docker/1\n4:cpu,cpuacct:/docker/1\n"}


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        pytest.param({}, 8, id="no control groups"),
        pytest.param(FREE | {"sys/fs/cgroup/cpu.max": "max 100000\n"}, 8, id="no quota"),
        pytest.param(FREE | {"sys/fs/cgroup/cpu.max": "300000 100000\n"}, 3, id="a container"),
        pytest.param(FREE | {"sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1, id="half a core is none"),
        pytest.param(FREE | {"sys/fs/cgroup/cpu.max": "20000 100000\n"}, 1, id="less than one core is one"),
        pytest.param(FREE | {"sys/fs/cgroup/cpu.max": "9900000 100000\n"}, 8, id="a quota above the machine"),
        pytest.param(V2 | {"sys/fs/cgroup/app/cpu.max": "200000 100000\n"}, 2, id="a group around ours"),
        pytest.param(
            V2 | {"sys/fs/cgroup/app/cpu.max": "500000 100000", "sys/fs/cgroup/app/job/cpu.max": "200000 50000"},
            4,
            id="the tightest group counts",
        ),
        pytest.param(
            V1
            | {
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "250000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "50000\n",
            },
            5,
            id="version 1",
        ),
        pytest.param(
            V1
            | {
                "sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_period_us": "100000\n",
            },
            8,
            id="version 1 without a quota",
        ),
    ],
)
def test_a_quota_of_the_control_groups_limits_the_cores(files, cores, tmp_path):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert usable_cores(tmp_path) == cores


def test_an_affinity_mask_limits_the_cores(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5})
    assert usable_cores(tmp_path) == 2


def test_this_process_may_use_as_many_cores_as_it_was_given(monkeypatch):
    monkeypatch.undo()
    assert 1 <= usable_cores() <= len(os.sched_getaffinity(0))
