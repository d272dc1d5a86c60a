"""The machine that a benchmark ran on, as every table says above it."""

import os
import platform
import subprocess
from pathlib import Path

import torch


def headline(device: str = "cpu") -> str:
    """Describe processor and load, device, threads of PyTorch in this process, versions."""
    describe = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(describe, capture_output=True, text=True, check=False).stdout.strip()
    return (
        f"{os.cpu_count()} x {_processor()}, load {os.getloadavg()[0]:.1f}; {device}, {torch.get_num_threads()} "
        f"thread(s), torch {torch.__version__}, commit {commit}\n"
    )


def _processor() -> str:
    """Name the processor, where Linux tells it, and its architecture."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return " ".join([*names[:1], platform.machine()])
