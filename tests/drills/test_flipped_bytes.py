"""Files of our own with a byte flipped or cut anywhere: refused, or read as they were; never another number."""

import contextlib

import numpy as np
import pytest
import torch

from baselines.fixed_points import FIXED_POINTS
from cache.errors import DataError
from cache.features import FeatureCache
from cache.sealed import CacheMismatch
from cache.tensor_files import load_tensors, save_tensors
from nas.runs.store import RunStore, read_trials
from nas.runs.trial import Trial
from nas.settings.config import SearchConfig
from nas.settings.config_files import from_mapping, read_mapping, to_mapping, write_mapping
from nas.settings.errors import RunError

pytestmark = [pytest.mark.drill, pytest.mark.filterwarnings("ignore::UserWarning")]
MASKS = (0x01, 0x10, 0xFF)


def is_same(one, other):
    """Tell whether two values are the same in kind and number, in all parts."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(is_same(one[name], other[name]) for name in one)
    if isinstance(one, torch.Tensor | np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and bool((one == other).all())
    return type(one) is type(other) and one == other


def features(folder):
    rng = np.random.default_rng(0)
    path, names = folder / "features.h5", [f"frame {number}" for number in range(4)]
    record = {
        "dec": rng.standard_normal((4, 2, 3, 8)).astype(np.float16),
        "label": rng.integers(0, 9, (4, 8, 9), np.uint8),
    }
    FeatureCache.build(path, "abc", {"size": [8, 9]}, names, [record])

    def read():
        cache = FeatureCache.open(path, "abc")
        return {"names": cache.names, **cache.arrays}

    return path, read, CacheMismatch


def checkpoint(folder):
    weights = {"a": torch.randn(5, 4), "b": torch.arange(7), "c": torch.randn(9).bfloat16()}
    save_tensors(folder / "network.pt", {"format": "x", "classes": 3, "meta": '{"miou": 0.5}', "weights": weights})
    return folder / "network.pt", lambda: load_tensors(folder / "network.pt"), DataError


def settings(folder):
    write_mapping(folder / "config.yaml", to_mapping(SearchConfig()))

    def read():
        return to_mapping(from_mapping(SearchConfig, read_mapping(folder / "config.yaml"), "config.yaml"))

    return folder / "config.yaml", read, RunError


def trials(folder):
    cell = FIXED_POINTS["tmanet"]
    scores = {"metrics": {"miou": 0.4, "loss": 1.5}, "cost": {"macs": 1e6}, "latency": 0.01}
    with RunStore.open(folder, identity={}, config={}) as store:
        store.append(Trial(number=0, genotype=cell, status="finished", reward=0.5, worker="host:1", **scores))
        store.append(Trial(fixed_point="per_frame", status="finished", reward=0.61, seed=7))
        store.append(Trial(number=1, genotype=cell, status="failed", error="ValueError: Übergröße"))

    return folder / "trials.jsonl", lambda: {trial.name: trial for trial in read_trials(folder)}, RunError


@pytest.mark.parametrize("make", [features, checkpoint, settings, trials], ids=lambda make: make.__name__)
def test_flipped_and_cut(tell, folder, make):
    path, read, error = make(folder)
    content, whole, same = path.read_bytes(), read(), 0
    for position in range(len(content)):
        for mask in MASKS:
            changed = bytearray(content)
            changed[position] ^= mask
            path.write_bytes(changed)
            same += is_unchanged(read, error, whole)
    for length in range(len(content)):
        path.write_bytes(content[:length])
        same += is_unchanged(read, error, whole)
    cases = len(content) * (len(MASKS) + 1)
    tell(f"bytes of {make.__name__}", cases, f"{cases - same:,} refused or cut back, {same:,} read as they were")


def is_unchanged(read, error, whole):
    """Tell whether the file is read, and then as it was; a log may lose its last trials with its end."""
    found = None
    with contextlib.suppress(error):
        found = read()
    if found is None:
        return False
    shorter = isinstance(next(iter(whole.values())), Trial) and len(found) < len(whole)
    assert is_same(found, {name: whole[name] for name in found} if shorter else whole)
    return not shorter
