"""The network of a search is known by its weights: settings that name an absent GPU do not hide it."""

import pytest
import torch

from cache.datasets.shapes import Shapes
from cache.extract import features_spec, fingerprint_of
from cache.static.network import StaticNetwork, save_checkpoint
from nas.settings.config import DataConfig, SearchConfig
from nas.settings.config_files import write_mapping
from nas.settings.errors import RunError
from nas.settings.machine_config import ComputeConfig
from nas.training.candidates import inputs as module
from nas.training.candidates.inputs import static_of_run

GPU = ComputeConfig(device="cuda:99", precision="bfloat16", threads=1)
CONFIG = SearchConfig(data=DataConfig(dataset="shapes", scale=0.25), compute=GPU)
SHAPES, SIZE = Shapes(), (24, 32)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return StaticNetwork(len(Shapes.classes), auxiliary=False)


@pytest.fixture(params=[("train",), ("train", "val")], ids=["its features", "features of an earlier version"])
def run(request, tmp_path, network):
    spec = features_spec(SHAPES, request.param, network, SIZE, "bfloat16")
    write_mapping(tmp_path / "run" / "inputs.yaml", {"features": fingerprint_of(spec)})
    return tmp_path / "run"


def save(folder, network):
    save_checkpoint(folder / "network.pt", network, {})
    return folder / "network.pt"


def test_it_is_found_between_others_under_whatever_name(tmp_path, run, network):
    damaged = save(tmp_path / "static" / "shapes-a", network)
    damaged.write_bytes(b"")
    save(tmp_path / "static" / "shapes-b", StaticNetwork(len(Shapes.classes), auxiliary=False))
    save(tmp_path / "static" / "shapes-c", StaticNetwork(3, auxiliary=False))
    path = save(tmp_path / "static" / "shapes-d", network)
    assert static_of_run(run, CONFIG, SHAPES, tmp_path) == path


def test_where_it_cannot_be_found_nor_trained_the_message_says_what_to_do(tmp_path, run, network):
    save(tmp_path / "static" / "shapes-b", StaticNetwork(len(Shapes.classes), auxiliary=False))
    with pytest.raises(RunError, match=r"is not in .*static and cannot be trained .* 'cuda:99' .* --checkpoint"):
        static_of_run(run, CONFIG, SHAPES, tmp_path)


def test_a_run_that_stopped_before_it_had_features_trains_as_its_search_would(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ensure_static", lambda *asked: asked[-1])
    cpu = SearchConfig(data=CONFIG.data, compute=ComputeConfig(device="cpu", precision="float32"))
    assert static_of_run(tmp_path, cpu, SHAPES, tmp_path).device == torch.device("cpu")
