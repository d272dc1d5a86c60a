"""The budget decides where rows come from, and a machine without a GPU holds or streams."""

import numpy as np
import pytest
import torch

from cache.features import FeatureCache
from cache.rows import HeldRows, StreamedRows
from nas.training.candidates import feature_rows
from nas.training.candidates.feature_rows import open_rows

CPU, GPU = torch.device("cpu"), torch.device("cuda")
GIB = 2**30
NAMES = ("dec", "label")


@pytest.fixture
def cache(tmp_path):
    """Two arrays of 1,024 bytes each that are wanted, and one that is not."""
    arrays = {name: np.zeros((2, 512), np.uint8) for name in (*NAMES, "layer2")}
    FeatureCache.build(tmp_path / "features.h5", "abc", {}, ["a", "b"], [arrays])
    return FeatureCache.open(tmp_path / "features.h5", "abc")


@pytest.mark.parametrize(
    ("budget", "kind"), [("auto", HeldRows), (2048 / GIB, HeldRows), (2047 / GIB, StreamedRows), (1e9, HeldRows)]
)
def test_what_the_budget_does_not_hold_is_streamed(cache, budget, kind):
    assert type(open_rows(cache, NAMES, CPU, budget)) is kind


@pytest.mark.parametrize(("half", "kind"), [(2048 / GIB, HeldRows), (2047 / GIB, StreamedRows)])
def test_without_a_budget_half_of_the_memory_is_one(cache, half, kind, monkeypatch):
    monkeypatch.setattr(feature_rows, "share_of_memory", lambda device, workers: half)
    assert type(open_rows(cache, NAMES, CPU, "auto")) is kind


@pytest.mark.parametrize(
    ("budget", "free", "home"), [("auto", 4096, "cuda"), ("auto", 4095, "cpu"), (1.0, 4096, "cuda"), (1e-9, 4096, None)]
)
def test_an_accelerator_holds_what_fills_no_more_than_half_of_it(cache, budget, free, home, monkeypatch):
    monkeypatch.setattr(torch.accelerator, "get_memory_info", lambda device: (free, 2 * free))
    monkeypatch.setattr(feature_rows, "HeldRows", lambda cache, names, *, home, device: home.type)
    monkeypatch.setattr(feature_rows, "StreamedRows", lambda cache, *, device: None)
    assert open_rows(cache, NAMES, GPU, budget) == home
