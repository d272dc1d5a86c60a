"""Features that are made up, of scenes that a cell can learn to see, and candidates that train on them."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import torch

from cache.features import FeatureCache
from cache.sealed import Array
from cache.static.network import StaticNetwork, save_checkpoint
from nas.settings.compute import Compute
from nas.settings.config import CandidateConfig
from nas.training.candidates.evaluator import EvaluatorSpec

FINGERPRINT: Final = "0" * 64
CLASSES: Final = 11
CPU: Final = Compute(torch.device("cpu"), None)
FEATURES: Final = {"layer2": (8, 32), "layer3": (16, 96), "layer4": (32, 320), "dec": (8, 64)}  # stride and channels
LABELS_ALONE: Final = CandidateConfig(dec_weight=0, logit_weight=0, label_weight=1, schedule="constant")
BRIEF: Final = replace(LABELS_ALONE, epochs=1, batch=8, early_stop=False, max_memory=100)
PATCHES: Final = (4, 5)  # that a frame is made of, down and across
CLEAR: Final = 1.0  # the standard deviation of what a class adds to a channel, where that of the noise is 1


def made_up(frames: int, size: tuple[int, int]) -> dict[str, Array]:
    """Make the arrays of a cache: each frame is a few patches of classes, each class has its own features, in noise."""
    rng = np.random.default_rng(0)
    patches = rng.integers(0, CLASSES, (frames, *PATCHES), np.uint8)

    def scene(stride: int) -> Array:
        height, width = (-(-side // stride) for side in size)
        rows, columns = (np.arange(n) * many // n for n, many in zip((height, width), PATCHES, strict=True))
        return patches[:, rows[:, None], columns]

    arrays = {"label": scene(1), "label8": scene(8)}
    for name, (stride, channels) in FEATURES.items():
        of_class = CLEAR * rng.standard_normal((CLASSES, channels), np.float32)
        noise = rng.standard_normal((*scene(stride).shape, channels), np.float32)
        arrays[name] = (of_class[scene(stride)] + noise).astype(np.float16)
    return arrays


def build_cache(folder: Path, arrays: dict[str, Array]) -> None:
    """Write `features.h5`, and the `static.pt` of a network that knows nothing."""
    names = [f"frame{i:06}" for i in range(len(arrays["label"]))]
    FeatureCache.build(folder / "features.h5", FINGERPRINT, {}, names, [arrays])
    torch.manual_seed(0)
    save_checkpoint(folder / "static.pt", StaticNetwork(CLASSES, auxiliary=False), {})


def candidate_spec(
    folder: Path,
    windows: int = 64,
    scored: int = 16,
    frames: int = 3,
    candidate: CandidateConfig = BRIEF,
    compute: Compute = CPU,
) -> EvaluatorSpec:
    """Specify candidates on the cache in a folder, of `windows` + `scored` + `frames` - 1 frames at least."""
    every = tuple(tuple(range(i, i + frames)) for i in range(windows + scored))
    return EvaluatorSpec(
        cache_path=folder / "features.h5",
        fingerprint=FINGERPRINT,
        static_checkpoint=folder / "static.pt",
        classes=CLASSES,
        train_windows=every[:windows],
        val_clips=every[windows:],
        candidate=candidate,
        compute=compute,
    )
