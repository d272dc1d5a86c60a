"""SegFormer and UPerNet, tiny and random: logits are their own, stages run one by one, weights are safetensors."""

import json

import pytest
import torch
from torch.nn import functional

from cache.errors import DataError
from cache.static.network import StaticNetwork, load_checkpoint, save_checkpoint, weights_fingerprint
from cache.static.sources import open_own

transformers = pytest.importorskip("transformers", reason="needs the extra dyncell[transformers]")

IMAGES = torch.randn(2, 3, 96, 136, generator=torch.Generator().manual_seed(0))
TINY = {"hidden_sizes": (8, 12, 16, 24), "depths": (1, 1, 1, 1), "num_attention_heads": (1, 1, 2, 2)}


def tiny(**settings):
    config = transformers.SegformerConfig(**TINY, decoder_hidden_size=20, num_labels=3, **settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.SegformerForSemanticSegmentation(config).eval()
    with torch.no_grad():
        model.decode_head.classifier.weight.mul_(300)
    return model


@pytest.fixture
def folder(tmp_path):
    tiny().save_pretrained(tmp_path / "segformer")
    return tmp_path / "segformer"


@torch.no_grad()
def test_logits_are_the_means_of_its_own(folder):
    network = StaticNetwork(3, own=open_own(f"hf:{folder}")).eval()
    expected = functional.avg_pool2d(tiny()(IMAGES).logits, 2)
    assert expected.std() > 0.1
    torch.testing.assert_close(network(IMAGES), expected)


BACKBONES = {
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 12, 16, 24], "depths": [1, 1, 1, 1]},
    "convnext": {"hidden_sizes": [8, 12, 16, 24], "depths": [1, 1, 1, 1]},
    "swin": {"embed_dim": 8, "depths": [2, 1, 1, 1], "num_heads": [1, 1, 2, 2]},
}


def upernet(kind):
    stages = ["stage1", "stage2", "stage3", "stage4"]
    inner = transformers.AutoConfig.for_model(kind, **BACKBONES[kind], out_features=stages)
    config = transformers.UperNetConfig(backbone_config=inner, hidden_size=20, num_labels=3, auxiliary_channels=4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.UperNetForSemanticSegmentation(config).eval()
        for name, weight in model.named_parameters():
            if "norm" in name:
                torch.nn.init.normal_(weight)
    return model


@torch.no_grad()
@pytest.mark.parametrize("kind", BACKBONES)
def test_logits_of_an_upernet_are_the_means_of_its_own(kind, tmp_path):
    model, images = upernet(kind), torch.randn(2, 3, 96, 128, generator=torch.Generator().manual_seed(0))
    model.save_pretrained(tmp_path)
    expected = functional.avg_pool2d(model.decode_head(model.backbone(images).feature_maps), 2)
    assert expected.std() > 0.01
    network = StaticNetwork(3, own=open_own(f"hf:{tmp_path}")).freeze()
    torch.testing.assert_close(network(images), expected)
    save_checkpoint(tmp_path / "n.pt", network, {})
    again, _ = load_checkpoint(tmp_path / "n.pt", classes=3)
    torch.testing.assert_close(again.eval()(images), network(images))


def test_a_stage_that_nobody_reads_is_not_run(folder):
    network, ran = StaticNetwork(3, own=open_own(f"hf:{folder}")).freeze(), []
    for number, stage in enumerate(network.encoder.stages, 1):
        stage.register_forward_hook(lambda *_, number=number: ran.append(number))
    assert set(network.features(IMAGES, {"layer2"})) == {"layer2"}
    assert ran == [1, 2]


@torch.no_grad()
def test_a_file_needs_neither_the_folder_nor_the_hub(folder, tmp_path):
    network = StaticNetwork(3, own=open_own(f"hf:{folder}")).freeze()
    save_checkpoint(tmp_path / "n.pt", network, {})
    for path in folder.iterdir():
        path.unlink()
    loaded, _ = load_checkpoint(tmp_path / "n.pt", classes=3)
    assert torch.equal(loaded.eval()(IMAGES), network(IMAGES))
    assert weights_fingerprint(loaded) == weights_fingerprint(network)
    assert str(tmp_path) not in json.dumps(loaded.source)


def test_what_no_weight_shows_is_in_the_fingerprint(folder):
    network = StaticNetwork(3, own=open_own(f"hf:{folder}"))
    before = weights_fingerprint(network)
    network.source["transformers"]["num_attention_heads"] = [1, 2, 2, 2]
    assert weights_fingerprint(network) != before


def test_classes_have_names_where_the_model_names_them(tmp_path, folder):
    assert open_own(f"hf:{folder}").classes == ()
    tiny(id2label={0: "road", 1: "sky", 2: "car"}).save_pretrained(tmp_path / "named")
    assert open_own(f"hf:{tmp_path / 'named'}").classes == ("road", "sky", "car")


def test_pickled_weights_are_not_read(folder):
    (folder / "model.safetensors").unlink()
    torch.save(tiny().state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(DataError, match="cannot be loaded as a trained network with safetensors"):
        open_own(f"hf:{folder}")


def test_another_model_and_an_encoder_alone_are_refused(tmp_path):
    config = transformers.SegformerConfig(**TINY, num_labels=3)
    transformers.SegformerForImageClassification(config).save_pretrained(tmp_path / "classifier")
    with pytest.raises(DataError, match="no trained segmentation network: it has no weights for decode_head"):
        open_own(f"hf:{tmp_path / 'classifier'}")
    transformers.ResNetConfig().save_pretrained(tmp_path / "resnet")
    with pytest.raises(DataError, match="is a resnet, but only segformer and upernet networks"):
        open_own(f"hf:{tmp_path / 'resnet'}")
    with pytest.raises(DataError, match=r"there is no folder .*absent"):
        open_own(f"hf:{tmp_path / 'absent'}")


def test_a_normalisation_that_images_do_not_get_is_refused(folder):
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5] * 3, "image_std": [0.5] * 3}))
    with pytest.raises(DataError, match="normalises images by image_mean"):
        open_own(f"hf:{folder}")


def test_images_on_whose_grids_attention_cannot_be_reduced_are_refused(folder):
    encoder = open_own(f"hf:{folder}").encoder
    encoder(torch.zeros(1, 3, 29, 29))  # 8x8 at stride 4, which is reduced by 8
    with pytest.raises(DataError, match="images of 28x29 are too small: this SegFormer needs 29 pixels a side"):
        encoder(torch.zeros(1, 3, 28, 29))
