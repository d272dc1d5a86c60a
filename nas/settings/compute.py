"""On which device and in which precision convolutions are computed, as plain values that are passed down."""

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from nas.settings.config import ComputeConfig
from nas.settings.errors import RunError


@dataclass(frozen=True)
class Compute:
    """A device and a precision, resolved once in a command's main."""

    device: torch.device
    dtype: torch.dtype | None
    """Of convolutions under `autocast`; None is float32 throughout."""

    def autocast(self) -> AbstractContextManager[None]:
        """The context of a forward pass and its loss; weights stay in float32."""
        return torch.autocast(self.device.type, dtype=self.dtype or torch.bfloat16, enabled=self.dtype is not None)


def resolve(config: ComputeConfig) -> Compute:
    """Choose what `auto` means on this machine.

    Raises:
        RunError: the device has no such name or is not there.
    """
    name = config.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"device {name!r} cannot be used ({reason}); --device cpu works everywhere") from error
    half = config.precision == "bfloat16" or (config.precision == "auto" and device.type == "cuda")
    return Compute(device, torch.bfloat16 if half else None)
