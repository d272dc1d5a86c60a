"""Networks that ship: found by name, never in place of a file of one's own, small, and as good as at full precision."""

import copy
import hashlib
import re
from pathlib import Path

import pytest
import torch

from cache import shipped
from cache.errors import DataError
from cache.static.network import StaticNetwork
from cache.tensor_files import load_tensors
from nas.networks.heads import build_head
from nas.networks.loading import load_network
from nas.networks.video_network import VideoNetwork, save_video_network


def test_a_file_of_ones_own_comes_before_a_network_that_ships(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "ship")
    (tmp_path / "ship").mkdir()
    (tmp_path / "ship" / "street.pt").touch()
    assert shipped.find(Path("street")) == tmp_path / "ship" / "street.pt"
    assert shipped.find(Path("elsewhere/street")) == Path("elsewhere/street")
    assert shipped.find(Path("../ship/street")) == Path("../ship/street")
    Path("street").touch()
    assert shipped.find(Path("street")) == Path("street")


def test_a_folder_comes_before_a_network_that_ships_if_there_are_networks_in_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("camvid/train").mkdir(parents=True)
    assert shipped.find(Path("camvid")) == shipped.FOLDER / "camvid.pt"
    Path("camvid/train/network.pt").touch()
    assert shipped.find(Path("camvid")) == Path("camvid")


def test_a_name_that_no_network_has_is_answered_with_those_there_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="no file street; networks that ship are"):
        load_tensors(Path("street"))


@torch.no_grad()
def test_half_precision_is_half_the_size_and_labels_alike(tmp_path):
    torch.manual_seed(0)
    static = StaticNetwork(5).eval()
    network = VideoNetwork(static, build_head(None, static.channels, 5, seed=0), refresh=3).eval()
    save_video_network(tmp_path / "whole.pt", network, {"name": "one"})
    save_video_network(tmp_path / "half.pt", copy.deepcopy(network).half(), {"name": "one"})
    assert (tmp_path / "half.pt").stat().st_size < 0.55 * (tmp_path / "whole.pt").stat().st_size
    image = torch.rand(1, 3, 64, 96)
    whole, half = (load_network(tmp_path / name)[0] for name in ("whole.pt", "half.pt"))
    assert {tensor.dtype for tensor in half.parameters()} == {torch.float32}
    assert half.refresh == whole.refresh == 3
    assert (half.first(image)[0] - whole.first(image)[0]).abs().max() < 5e-3 * whole.first(image)[0].abs().max()


@pytest.mark.parametrize("name", shipped.names())
def test_each_has_a_card_with_its_checksum_and_runs(name):
    file = shipped.FOLDER / f"{name}.pt"
    card = file.with_suffix(".md").read_text(encoding="utf-8")
    assert re.search(r"SHA-256: `(\w{64})`", card)[1] == hashlib.sha256(file.read_bytes()).hexdigest()
    network, facts = load_network(Path(name))
    assert len(facts["classes"]) == network.classes
    with torch.no_grad():
        logits, state = network.first(torch.zeros(1, 3, 64, 96))
        later, _ = network.later(torch.zeros(1, 3, 64, 96), state)
    assert logits.shape == later.shape == (1, network.classes, 8, 12)
