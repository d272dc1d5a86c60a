"""Every setting of devices, places and workers, which all commands share."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nas.settings.errors import require


@dataclass(frozen=True, kw_only=True)
class ComputeConfig:
    """Settings of device and precision. These change the last digits, so a run keeps them."""

    device: str = "auto"
    """`cpu`, `cuda`, `cuda:1`, ...; `auto` is the first GPU if there is one."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of convolutions in training and inference; `auto` is bfloat16 on a GPU that has it and float32
    elsewhere."""
    threads: Literal["auto"] | int = "auto"
    """CPU threads of a worker; `auto` shares the cores that this process may use among the workers, when the run is
    created, and asks for no more than $OMP_NUM_THREADS."""

    def __post_init__(self) -> None:
        known = ("auto", "float32", "bfloat16")
        require(self.precision in known, f"precision must be one of {', '.join(known)}", self.precision)
        require(self.threads == "auto" or self.threads >= 1, "threads must be at least 1, or auto", self.threads)


@dataclass(frozen=True, kw_only=True)
class MachineConfig:
    """Settings of places and workers. Nothing here changes a number; a resumed run may differ in it."""

    data_root: Path | None = None
    """Folder of the data set; by default $DYNCELL_DATA."""
    cache_dir: Path | None = None
    """Folder for features and static networks; by default $DYNCELL_CACHE or ~/.cache/dyncell."""
    cache_memory: Literal["auto"] | float = "auto"
    """GiB of features that may be held: on the GPU if they fill half of it at most, else in memory that the workers of
    a machine share. Larger ones are streamed from their file, with the same results. `auto` is half of the memory of
    the machine that a worker is on, or of its container."""
    executor: Literal["auto", "inline", "ray"] = "auto"
    """`inline` works in this process, `ray` in actors that survive crashes; `auto` is ray for 2 workers or more."""
    workers: int = 1
    """Candidates trained at the same time."""
    gpus_per_worker: float = 1.0
    """Share of a GPU that a Ray worker claims on a CUDA device, e.g. 0.5."""
    address: str = "local"
    """`local` starts a private Ray; `auto` or HOST:PORT joins a cluster."""
    timeout: float = 3600.0
    """Seconds after which a Ray worker's candidate is given up as failed."""

    @property
    def cache(self) -> Path:
        """Folder for features and static networks: `cache_dir`, or what stands in for it."""
        return self.cache_dir or Path(os.environ.get("DYNCELL_CACHE") or Path.home() / ".cache" / "dyncell")

    def __post_init__(self) -> None:
        require(self.workers >= 1, "workers must be at least 1", self.workers)
        require(self.timeout > 0, "timeout must be positive", self.timeout)
        require(0 <= self.gpus_per_worker <= 1, "gpus-per-worker must lie in [0, 1]", self.gpus_per_worker)
        bounded = self.cache_memory == "auto" or self.cache_memory > 0
        require(bounded, "cache-memory must be positive, or auto", self.cache_memory)
        alone = self.executor != "inline" or self.workers == 1
        require(alone, "--executor inline has one worker; take --executor ray for more", self.workers)
