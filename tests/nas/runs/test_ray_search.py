"""A search over two nodes finds what the same search finds in one process."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

SCRIPT = """
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from ray.cluster_utils import Cluster

from cache.features import FeatureCache
from cache.static.network import StaticNetwork, save_checkpoint
from nas.settings.config import CandidateConfig, SearchConfig
from nas.workers.executor import InlineExecutor
from nas.workers.ray_executor import RayExecutor
from nas.runs.store import RunStore
from nas.search import search
from nas.strategies.catalog import make_strategy
from nas.settings.compute import Compute
from nas.training.candidates.early_stopping import EarlyStopping
from nas.training.candidates.evaluator import EvaluatorSpec
from searchspace.space import Space

folder = Path(sys.argv[1])
sizes = {"layer2": (6, 8, 32), "layer3": (3, 4, 96), "layer4": (2, 2, 320), "dec": (6, 8, 64)}
rng = np.random.default_rng(0)
arrays = {name: rng.standard_normal((24, *size)).astype(np.float16) for name, size in sizes.items()}
arrays |= {name: rng.integers(0, 2, (24, 6, 8), np.uint8) for name in ("label8", "label")}
FeatureCache.build(folder / "features.h5", "abc", {}, [f"frame{i}" for i in range(24)], [arrays])
save_checkpoint(folder / "static.pt", StaticNetwork(2, auxiliary=False), {})
windows = tuple(pairwise(range(24)))
candidate = CandidateConfig(epochs=2, batch=8, max_memory=1)
spec = EvaluatorSpec(
    cache_path=folder / "features.h5", fingerprint="abc", static_checkpoint=folder / "static.pt", classes=2,
    train_windows=windows[:16], val_clips=windows[16:], candidate=candidate,
    compute=Compute(torch.device("cpu"), None),
)
config, space = SearchConfig(trials=6, lookahead=4, candidate=candidate), Space.load("paper", blocks=1)

def trials(name, executor):
    with RunStore.open(folder / name, identity={}, config={}) as store:
        search(make_strategy(config, space, []), executor, store, config, EarlyStopping())
        found = sorted(store.trials, key=lambda trial: trial.number)
    executor.close()
    return [replace(t, seconds=0.0, latency=None, worker="") for t in found], {t.worker for t in found if t.seconds}

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
cluster.add_node(num_cpus=1)
spread, workers = trials("spread", RayExecutor(spec.build, workers=2, address=cluster.address))
cluster.shutdown()
alone, _ = trials("alone", InlineExecutor(spec.build))
print("equal", spread == alone, "finished", all(t.ok for t in spread), "workers", len(workers))
"""


def test_two_nodes_find_the_trials_of_one_process(tmp_path):
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert "equal True finished True workers 2" in done.stdout, done.stdout + done.stderr
