"""Automatic settings: what "auto" means in a search on this machine and in this space."""

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeVar

from nas.settings.config import SearchConfig, SpaceConfig
from nas.settings.errors import RunError
from nas.settings.machine_config import ComputeConfig, MachineConfig
from searchspace.space import Space

if TYPE_CHECKING:
    from nas.settings.compute import Compute

Number = TypeVar("Number", int, float)


def resolve_auto(config: SearchConfig, compute: "Compute", space: Space) -> SearchConfig:
    """Replace every `auto` that a number hangs on by what it means on this machine and for this space.

    What stays is left to others: the blocks to the space's own file, the memory for features to each worker's machine.
    """
    from nas.settings.compute import share_of_memory, threads_of_worker  # they load torch

    workers, memory = config.machine.workers, config.candidate.max_memory
    beside = workers_beside(config.machine, on_gpu=compute.device.type != "cpu")
    window, refresh, threads = config.data.window, config.data.refresh, config.compute.threads
    return replace(
        config,
        data=replace(
            config.data,
            window=max(3, space.slots + 1) if window == "auto" else window,
            refresh=space.refresh if refresh == "auto" else refresh,
        ),
        candidate=replace(
            config.candidate, max_memory=share_of_memory(compute.device, beside) if memory == "auto" else memory
        ),
        compute=ComputeConfig(
            device=str(compute.device),
            precision="float32" if compute.dtype is None else "bfloat16",
            threads=threads_of_worker(workers) if threads == "auto" else threads,
        ),
    )


def as_begun(config: SearchConfig, asked: SearchConfig, begun: SearchConfig) -> SearchConfig:
    """Take what a call leaves to the machine from the run that it goes on with.

    So that a run goes on with another number of workers, or where there is less memory than there was.

    Args:
        config: of the call, resolved.
        asked: of the call, in which `auto` stands where nothing was said.
        begun: of the run.
    """
    threads = begun.compute.threads if asked.compute.threads == "auto" else config.compute.threads
    memory = begun.candidate.max_memory if asked.candidate.max_memory == "auto" else config.candidate.max_memory
    return replace(
        config,
        candidate=replace(config.candidate, max_memory=memory),
        compute=replace(config.compute, threads=threads),
    )


def workers_beside(machine: MachineConfig, on_gpu: bool) -> int:
    """Count the workers that share one GPU, each with its part of it, or the memory of one machine."""
    parted = on_gpu and machine.gpus_per_worker > 0
    return min(machine.workers, int(1 / machine.gpus_per_worker)) if parted else machine.workers


def load_space(config: SpaceConfig) -> Space:
    """Load the space that cells are sampled from. Raises SpaceError if it cannot be had."""
    return Space.load(config.space, None if config.blocks == "auto" else config.blocks)


def require_number(setting: Literal["auto"] | Number) -> Number:
    """Return a setting that `resolve_auto` has gone over. Raises RunError if it is still `auto`."""
    if setting == "auto":
        raise RunError("a window or a limit is `auto` where its number is needed; a run's config.yaml holds the number")
    return setting
