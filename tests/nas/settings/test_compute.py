"""Checks on what `auto` means and on devices that are not there."""

import pytest
import torch

from nas.settings.automatic import workers_beside
from nas.settings.compute import Compute, first_device, resolve, start, threads_of_worker
from nas.settings.errors import RunError
from nas.settings.machine_config import ComputeConfig, MachineConfig


def test_auto_on_a_cpu_is_float32():
    compute = resolve(ComputeConfig(device="cpu"))
    assert (compute.device.type, compute.dtype) == ("cpu", None)


@pytest.mark.parametrize(("there", "name"), [(True, "cuda"), (False, "cpu")])
def test_the_first_gpu_is_taken_if_there_is_one(there, name, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: there)
    assert first_device() == name


def test_auto_is_the_first_device(monkeypatch):
    monkeypatch.setattr("nas.settings.compute.first_device", lambda: "meta")
    assert resolve(ComputeConfig()).device.type == "meta"


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_autocast_computes_convolutions_in_the_precision_asked_for(precision, dtype):
    conv = torch.nn.Conv2d(3, 4, 1)
    with resolve(ComputeConfig(device="cpu", precision=precision)).autocast():
        assert conv(torch.zeros(1, 3, 2, 2)).dtype == dtype
    assert conv(torch.zeros(1, 3, 2, 2)).dtype == torch.float32


@pytest.mark.parametrize("name", ["gpu", "", "cuda:99"])
def test_a_device_that_is_not_there_is_a_users_mistake(name):
    with pytest.raises(RunError, match=f"device '{name}' cannot be used"):
        resolve(ComputeConfig(device=name))


@pytest.mark.parametrize(
    ("environment", "workers", "threads"),
    [("", 1, 6), ("", 4, 1), ("", 9, 1), ("2", 1, 2), ("2,1", 2, 2), ("16", 1, 6), ("many", 1, 6), ("0", 2, 3)],
)
def test_workers_share_the_usable_cores_and_the_environment_limits_each(environment, workers, threads, monkeypatch):
    monkeypatch.setattr("nas.settings.compute.usable_cores", lambda: 6)
    monkeypatch.setenv("OMP_NUM_THREADS", environment)
    assert threads_of_worker(workers) == threads


@pytest.mark.parametrize(("asked", "given"), [("auto", 1), (2, 2)])
def test_a_command_starts_with_the_threads_it_was_given_or_no_more_than_the_environment_allows(
    asked, given, monkeypatch
):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    try:
        start(ComputeConfig(device="cpu", threads=asked))
        assert torch.get_num_threads() == given
    finally:
        torch.set_num_threads(before)


def test_a_worker_of_ray_uses_the_first_gpu_that_it_sees():
    assert Compute(torch.device("cuda:3"), torch.bfloat16).in_ray() == Compute(torch.device("cuda"), torch.bfloat16)


@pytest.mark.parametrize(
    ("workers", "share", "on_gpu", "beside"),
    [
        (8, 1.0, True, 1),
        (8, 0.5, True, 2),
        (8, 0.1, True, 8),
        (3, 0.33, True, 3),
        (4, 0.0, True, 4),
        (4, 1.0, False, 4),
    ],
)
def test_workers_share_a_gpu_by_their_parts_of_it_and_a_machine_all_together(workers, share, on_gpu, beside):
    machine = MachineConfig(workers=workers, gpus_per_worker=share)
    assert workers_beside(machine, on_gpu) == beside
