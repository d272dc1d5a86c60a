"""Checks on what `auto` means and on devices that are not there."""

import pytest
import torch

from nas.settings.compute import resolve
from nas.settings.config import ComputeConfig
from nas.settings.errors import RunError


def test_auto_on_a_cpu_is_float32():
    compute = resolve(ComputeConfig(device="cpu"))
    assert (compute.device.type, compute.dtype) == ("cpu", None)


def test_the_first_gpu_is_taken_if_there_is_one():
    assert resolve(ComputeConfig()).device.type == ("cuda" if torch.cuda.is_available() else "cpu")


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
