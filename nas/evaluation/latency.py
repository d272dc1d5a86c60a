"""Latency: how long something takes on this machine, as a median with its spread."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Latency:
    """Seconds that a repetition takes."""

    median: float
    """Median of the repetitions."""
    low: float
    """10th percentile of the repetitions."""
    high: float
    """90th percentile of the repetitions."""


def measure(step: Callable[[], object], device: torch.device, repeats: int, warm_up: int = 2) -> Latency:
    """Time `step`, each repetition to the end of what it started on `device`.

    Args:
        step: a callable without arguments.
        device: where `step` computes; it is waited for, if it works asynchronously.
        repeats: number of timed repetitions.
        warm_up: number of repetitions before them that are not timed.
    """
    seconds = []
    for _ in range(warm_up + repeats):
        _wait(device)
        start = time.perf_counter()
        step()
        _wait(device)
        seconds.append(time.perf_counter() - start)
    low, median, high = np.percentile(seconds[warm_up:], [10, 50, 90])
    return Latency(float(median), float(low), float(high))


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
