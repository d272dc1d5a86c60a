"""The device, the precision and the CPU threads of a computation, as plain values that are passed down."""

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Final

import torch

from cache.cores import usable_cores
from cache.memory import usable_memory
from nas.settings.errors import RunError
from nas.settings.machine_config import ComputeConfig

GIB: Final = 2**30


@dataclass(frozen=True)
class Compute:
    """A device and a precision, resolved once in a command's main."""

    device: torch.device
    dtype: torch.dtype | None
    """Precision of convolutions under `autocast`; None is float32, which cuDNN multiplies as TF32."""

    @property
    def kind(self) -> str:
        """Name of all that changes the digits of a result: `cuda torch.bfloat16`, on whichever GPU."""
        return f"{self.device.type} {self.dtype}"

    def in_ray(self) -> "Compute":
        """Return the same for a Ray worker with a GPU of its own, which is the first one that it sees."""
        return replace(self, device=torch.device(self.device.type))

    def release(self) -> None:
        """Give the GPU back what PyTorch keeps of it for later, so that other processes can have it."""
        if self.device.type != "cpu":
            torch.accelerator.empty_cache()

    def autocast(self) -> AbstractContextManager[None]:
        """Return the context of a forward pass and its loss; weights stay in float32."""
        return torch.autocast(self.device.type, dtype=self.dtype or torch.bfloat16, enabled=self.dtype is not None)


def start(config: ComputeConfig) -> Compute:
    """Give torch its CPU threads for the rest of this process, and choose what `auto` means, as `resolve` does."""
    automatic = min(torch.get_num_threads(), threads_of_worker(1))
    torch.set_num_threads(automatic if config.threads == "auto" else config.threads)
    return resolve(config)


def resolve(config: ComputeConfig) -> Compute:
    """Choose what `auto` means on this machine.

    Raises:
        RunError: the device has no such name or is not there.
    """
    name = first_device() if config.device == "auto" else config.device
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"device {name!r} cannot be used ({reason}); --device cpu works everywhere") from error
    half = config.precision == "bfloat16" or (config.precision == "auto" and _multiplies_bfloat16(device))
    return Compute(device, torch.bfloat16 if half else None)


def first_device() -> str:
    """Name the first GPU, or the CPU where there is none."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def _multiplies_bfloat16(device: torch.device) -> bool:
    """Tell whether a GPU computes in bfloat16 itself; older ones emulate it, more slowly than float32."""
    if device.type != "cuda":
        return False
    with torch.cuda.device(device):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def threads_of_worker(workers: int) -> int:
    """Count the CPU threads of each of `workers` workers: its share of the usable cores, but at least 1.

    It is never more than $OMP_NUM_THREADS, which says how many a process may have.
    """
    allowed = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # further numbers are of nested regions
    share = max(1, usable_cores() // workers)
    return min(share, int(allowed)) if allowed.isdecimal() and int(allowed) > 0 else share


def share_of_memory(device: torch.device, workers: int) -> float:
    """Compute a worker's share of half the memory of a GPU, or of what a process may use of this machine's, in GiB."""
    if device.type == "cpu":
        total = usable_memory()
    else:
        _, total = torch.accelerator.get_memory_info(device)
    return round(total / 2 / workers / GIB, 1)
