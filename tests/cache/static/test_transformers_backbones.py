"""Encoders of transformers, tiny and random: layers are their own hidden states, stages run one by one."""

import json
import sys

import pytest
import torch
from torch.nn import functional

from cache.errors import DataError
from cache.static.encoder import LAYERS, STRIDES
from cache.static.encoders import build_encoder, find_encoder, start_from
from cache.static.network import StaticNetwork, load_checkpoint, save_checkpoint, weights_fingerprint

transformers = pytest.importorskip("transformers", reason="needs the extra dyncell[transformers]")

WIDTHS = {"hidden_sizes": [8, 12, 16, 24], "depths": [1, 1, 1, 1]}
WINDOWS = {"embed_dim": 8, "depths": [2, 1, 1, 1], "num_heads": [1, 1, 2, 2]}
TINY = {
    "resnet": {"embedding_size": 8, **WIDTHS},
    "rt_detr_resnet": {"embedding_size": 8, "layer_type": "basic", **WIDTHS},
    "bit": {"embedding_size": 8, "num_groups": 2, **WIDTHS},
    "convnext": WIDTHS,
    "convnextv2": WIDTHS,
    "dinov3_convnext": WIDTHS,
    "pvt_v2": {**WIDTHS, "num_attention_heads": [1, 1, 2, 2]},
    "swin": WINDOWS,
}


def backbone(kind):
    config = transformers.AutoConfig.for_model(kind, **TINY[kind], out_features=[f"stage{n}" for n in range(1, 5)])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return transformers.AutoBackbone.from_config(config).eval()


def saved(model, folder):
    model.save_pretrained(folder)
    return f"hf:{folder}"


def loaded(name):
    name, weights = find_encoder(name)
    with torch.random.fork_rng(devices=[]):
        encoder = build_encoder(name)
    start_from(encoder, name, weights)
    return encoder.eval()


def images(*size):
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
@pytest.mark.parametrize("kind", TINY)
def test_layers_are_its_own_hidden_states(kind, tmp_path):
    model, x = backbone(kind), images(64, 96)
    expected = model(x, output_hidden_states=True).hidden_states[-4:]
    encoder = loaded(saved(model, tmp_path))
    encoded = encoder(x)
    for layer, theirs in zip(LAYERS, expected, strict=True):
        assert theirs.std() > 1e-6
        torch.testing.assert_close(encoded[layer], theirs)
    odd = {layer: tuple(made.shape[1:]) for layer, made in encoder(images(37, 50)).items()}
    assert odd == {layer: (encoder.channels[layer], -(-37 // s), -(-50 // s)) for layer, s in STRIDES.items()}


@torch.no_grad()
def test_patches_at_an_edge_are_filled_up_with_zeros_and_not_lost(tmp_path):
    model = backbone("convnext")
    x = images(38, 51)
    theirs = model(functional.pad(x, (0, 1, 0, 2)), output_hidden_states=True).hidden_states[1]
    torch.testing.assert_close(loaded(saved(model, tmp_path))(x)["layer1"], theirs)


def test_a_stage_that_nobody_reads_is_not_run(tmp_path):
    name, _ = find_encoder(saved(backbone("resnet"), tmp_path))
    network, ran = StaticNetwork(3, encoder=name).freeze(), []
    for number, stage in enumerate(network.encoder.stages, 1):
        stage.register_forward_hook(lambda *_, number=number: ran.append(number))
    network.features(images(64, 96), {"layer2"})
    assert ran == [1, 2]


@torch.no_grad()
def test_weights_are_taken_from_a_whole_classifier(tmp_path):
    config = transformers.ResNetConfig(**TINY["resnet"])
    model = transformers.ResNetForImageClassification(config).eval()
    name = saved(model, tmp_path)
    theirs = model(images(64, 96), output_hidden_states=True).hidden_states[-4:]
    torch.testing.assert_close(list(loaded(name)(images(64, 96)).values()), list(theirs))


@torch.no_grad()
def test_a_file_needs_neither_the_folder_nor_the_hub(tmp_path):
    name, _ = find_encoder(saved(backbone("convnext"), tmp_path / "convnext"))
    network = StaticNetwork(3, auxiliary=False, encoder=name).freeze()
    save_checkpoint(tmp_path / "n.pt", network, {})
    for path in (tmp_path / "convnext").iterdir():
        path.unlink()
    again, _ = load_checkpoint(tmp_path / "n.pt")
    assert torch.equal(again.eval()(images(64, 96)), network(images(64, 96)))
    assert weights_fingerprint(again) == weights_fingerprint(network)
    assert str(tmp_path) not in name


def test_equal_seeds_give_equal_weights(tmp_path):
    name, _ = find_encoder(saved(backbone("resnet"), tmp_path))

    def weights(seed):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return torch.cat([p.flatten() for p in build_encoder(name).parameters()])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


def test_weights_that_are_absent_or_pickled_are_none(tmp_path):
    model = backbone("resnet")
    name = saved(model, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    _, weights = find_encoder(name)
    assert weights is None


def test_weights_of_another_network_are_refused(tmp_path):
    name, _ = find_encoder(saved(backbone("resnet"), tmp_path / "one"))
    _, weights = find_encoder(saved(backbone("convnext"), tmp_path / "two"))
    with pytest.raises(DataError, match=r"model\.safetensors has no weights for embedder"):
        start_from(build_encoder(name), name, weights)


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        ("resnet", {**TINY["resnet"], "hidden_sizes": [8, 12, 16], "depths": [1, 1, 1]}, "resnet of 3 stages, but"),
        (
            "dinov2",
            {"num_hidden_layers": 2, "hidden_size": 24, "num_attention_heads": 2},
            "of 2 stages, but cells need 4",
        ),
        ("mobilenet_v2", {}, "is a mobilenet_v2, of which transformers has no backbone"),
        ("swinv2", WINDOWS, "the stages of a swinv2 do not run one by one on an image of 64x96"),
        (
            "hiera",
            {"embed_dim": 8, "num_heads": [1, 1, 1, 1]},
            "the stages of a hiera do not run one by one",
        ),
        ("convnext", {**WIDTHS, "patch_size": 2}, "height and width of its layers must be"),
    ],
)
def test_a_backbone_that_cells_cannot_stand_on_is_told_why(kind, settings, words, tmp_path):
    transformers.AutoConfig.for_model(kind, **settings).save_pretrained(tmp_path)
    with pytest.raises(DataError, match=words):
        find_encoder(f"hf:{tmp_path}")


def test_a_name_that_cannot_be_downloaded_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"hf:microsoft/absent cannot be loaded as a backbone: .*couldn't connect"):
        find_encoder("hf:microsoft/absent")
    with pytest.raises(DataError, match=r"there is no folder .*absent of a model that transformers saved"):
        find_encoder(f"hf:{tmp_path / 'absent'}")


def test_without_the_extra_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.delitem(sys.modules, "cache.static.transformers_backbones", raising=False)
    monkeypatch.delitem(sys.modules, "cache.static.transformers_files", raising=False)
    with pytest.raises(DataError, match=r"an extra that is not installed: pip install 'dyncell\[transformers\]'"):
        find_encoder("hf:anything")


@pytest.mark.parametrize(
    "settings",
    [
        {"model_type": "timm_backbone", "backbone": "resnet18"},
        {"model_type": "resnet", "auto_map": {"AutoBackbone": "code.Backbone"}},
        {"model_type": "upernet", "backbone_config": {"model_type": "timm_backbone"}},
        {"model_type": "nothing"},
    ],
)
def test_a_file_cannot_make_its_reader_fetch_anything(settings):
    with pytest.raises(ValueError, match=r"asks for a model of elsewhere|nothing"):
        build_encoder("hf:" + json.dumps(settings))
