import json
import re

import pytest
import torch

from baselines.fixed_points import FIXED_POINTS
from cache.errors import DataError
from cache.static.network import StaticNetwork
from cache.tensor_files import load_tensors
from nas.networks.heads import build_head
from nas.networks.video_network import VideoNetwork, load_video_network, save_video_network

META = {
    "name": "tdnet",
    "dataset": "shapes",
    "classes": ["sky", "road", "car"],
    "colours": [[0, 0, 0]] * 3,
    "size": [64, 96],
}


def build(name):
    """A network of 3 classes in eval mode whose norms have seen something."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        static = StaticNetwork(3)
        network = VideoNetwork(static, build_head(FIXED_POINTS[name], static.channels, 3, seed=1)).train()
        run(network, clip(3))
    return network.eval()


def clip(length):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, 3, 64, 96, generator=generator) for _ in range(length)]


@torch.no_grad()
def run(network, frames):
    """Logits of every frame."""
    logits, state = network.first(frames[0])
    every = [logits]
    for images in frames[1:]:
        logits, state = network.later(images, state)
        every.append(logits)
    return every


@pytest.fixture(scope="module")
def network():
    return build("tdnet")


@pytest.fixture(scope="module")
def saved(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "network.pt"
    save_video_network(path, network, META)
    return path


@pytest.mark.parametrize("name", FIXED_POINTS)
def test_a_network_read_from_its_file_says_the_same_over_a_clip(name, tmp_path):
    network = build(name)
    save_video_network(tmp_path / "network.pt", network, META)
    again, meta = load_video_network(tmp_path / "network.pt")
    expected = run(network, clip(6))
    assert [logits.shape for logits in expected] == [(2, 3, 8, 12)] * 6
    assert all(torch.equal(one, two) for one, two in zip(run(again, clip(6)), expected, strict=True))
    assert (meta, again.classes, again.training) == ({**META, "refresh": 0}, 3, False)


def test_the_decoder_runs_on_the_first_frame_only(network):
    calls = []
    hook = network.static.decoder.register_forward_hook(lambda *_: calls.append(1))
    run(network, clip(4))
    hook.remove()
    assert len(calls) == 1


def test_the_first_frame_is_the_static_networks_and_later_ones_are_the_heads(network):
    frames, static = clip(2), network.static
    first, later = run(network, frames)
    with torch.no_grad():
        state = network.head.init_state(static.features(frames[0]))
        dec, _ = network.head.step(static.encoder(frames[1]), state)
        assert torch.equal(first, static(frames[0]))
        assert torch.equal(later, network.head.classifier(dec))


def test_a_per_frame_network_has_one_classifier_and_is_the_static_network_on_every_frame(tmp_path):
    network = build("per_frame")
    save_video_network(tmp_path / "network.pt", network, META)
    for one in (network, load_video_network(tmp_path / "network.pt")[0]):
        assert one.static.classifier is one.head.classifier
        with torch.no_grad():
            expected = [one.static(images) for images in clip(3)]
        assert all(torch.equal(a, b) for a, b in zip(run(one, clip(3)), expected, strict=True))


def test_the_file_holds_neither_auxiliary_heads_nor_anything_but_tensors_and_text(network, saved):
    content = load_tensors(saved)
    assert len(network.static.auxiliary) > 0
    assert not any(name.startswith("auxiliary.") for name in content["static"])
    assert json.loads(content["genotype"]) == network.head.genotype.to_json()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"encoder": "vgg"}, "damaged or of another version .*there is no encoder 'vgg'; known are mobilenet_v2"),
        ({"encoder": ["mobilenet_v2"]}, "damaged or of another version"),
        ({"format": "dyncell static network 1"}, "is not a video network that this version wrote; make one with"),
        ({"classes": 4}, "damaged or of another version .*size mismatch for classifier.weight"),
        ({"classes": "3"}, "damaged or of another version"),
        ({"classes": -1}, "damaged or of another version"),
        ({"genotype": "[" * 100_000}, "damaged or of another version"),
        ({"genotype": '{"schema": 2, "blocks": []}'}, "a genotype of schema 2 cannot be read; this version reads 1"),
        ({"genotype": json.dumps(FIXED_POINTS["tmanet"].to_json())}, "damaged or of another version .*DynamicCell"),
        ({"genotype": "null"}, "damaged or of another version .*PerFrame"),
        ({"static": {}}, "damaged or of another version .*Missing key"),
        ({"static": [1, 2]}, "damaged or of another version"),
        ({"head": {"classifier.weight": torch.zeros(1)}}, "damaged or of another version"),
        ({"meta": "{"}, "damaged or of another version"),
        ({"meta": None}, "damaged or of another version"),
    ],
    ids=str,
)
def test_a_file_with_a_part_of_another_kind_is_refused(changes, reason, saved, tmp_path):
    torch.save(load_tensors(saved) | changes, tmp_path / "n.pt")
    with pytest.raises(DataError, match=f"{re.escape(str(tmp_path / 'n.pt'))} .*{reason}") as caught:
        load_video_network(tmp_path / "n.pt")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", ["format", "classes", "genotype", "meta", "static", "head"])
def test_a_file_without_a_part_is_refused(part, saved, tmp_path):
    torch.save({name: value for name, value in load_tensors(saved).items() if name != part}, tmp_path / "n.pt")
    with pytest.raises(DataError, match=re.escape(str(tmp_path / "n.pt"))):
        load_video_network(tmp_path / "n.pt")


@pytest.mark.parametrize("share", [0, 0.5, 0.999])
def test_a_truncated_file_is_refused(share, saved, tmp_path):
    content = saved.read_bytes()
    (tmp_path / "n.pt").write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=re.escape(str(tmp_path / "n.pt"))):
        load_video_network(tmp_path / "n.pt")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"there is no file .*gone\.pt"):
        load_video_network(tmp_path / "gone.pt")


def test_writing_again_replaces_the_file_and_leaves_nothing_else(network, tmp_path):
    for score in (0.4, 0.5):
        save_video_network(tmp_path / "network.pt", network, META | {"miou": score})
    assert load_video_network(tmp_path / "network.pt")[1]["miou"] == 0.5
    assert [path.name for path in tmp_path.iterdir()] == ["network.pt"]
