"""Everything before the first candidate: data set, static network, cached features, and the windows to train on.

Each stage is skipped where its result already stands and matches its fingerprint.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from cache.datasets.catalog import open_dataset
from cache.datasets.clips import Dataset, Frame, Window, meta_split, windows
from cache.extract import ensure_features
from cache.features import FeatureCache
from cache.images import scaled_size
from cache.static.network import load_checkpoint
from nas.runs.config import PretrainConfig, SearchConfig
from nas.runs.errors import RunError
from nas.training import compute
from nas.training.evaluator import EvaluatorSpec
from nas.training.static_training import ensure_static

SPLITS = ("train", "val")


@dataclass(frozen=True)
class Prepared:
    """What the search works on."""

    dataset: Dataset
    static_miou: float
    """Of the static network on the validation list, at working resolution."""
    features: FeatureCache
    evaluator: EvaluatorSpec


def prepare(config: SearchConfig) -> Prepared:
    """Train or load the static network, build or open its features, and cut the training list into windows."""
