"""Networks of one's own go the whole road on a video without masks: a hand-written one, SegFormer, a ResNet encoder."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import dyncell
from cache.datasets.shapes import Shapes
from cache.errors import DataError
from cache.frames import network_input
from cache.static.network import load_checkpoint, save_checkpoint
from cache.static.sources import TRUSTED
from nas.settings.config import StaticConfig

pytestmark = pytest.mark.slow

SIZE = (48, 64)
PAGE = Path(__file__).parents[1] / "docs" / "own-network.md"


def film(path):
    """Film 12 frames of made-up shapes as PNG files, at a quarter of their size."""
    path.mkdir()
    for number, frame in enumerate(Shapes().frames("train")[:12]):
        Image.fromarray(Shapes().image(frame)).resize(SIZE[::-1]).save(path / f"{number:03}.png")
    return path


def balance(classifier, label):
    """Take the mean over pixels from each logit, without which one class may be the highest everywhere."""
    images = network_input([Shapes().image(frame) for frame in Shapes().frames("train")[:12:4]], SIZE, "cpu")
    with torch.no_grad():
        classifier.bias -= label(images).mean((0, 2, 3))


def function_of_the_page(home, whole_road):
    """Write the page's two blocks as the module that it says they are, and the weights that it loads."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (home / "road.py").write_text("\n".join(blocks))
    import road

    torch.manual_seed(0)
    model = road.RoadNet()
    encoder, decoder = road.RoadEncoder(model.backbone), road.RoadDecoder(model.head)
    balance(model.classifier, lambda images: model.classifier(decoder(encoder(images))))
    torch.save(model.state_dict(), home / "road.pt")
    return StaticConfig(network="road:network")


def segformer(home, whole_road):
    """Save a tiny random SegFormer as transformers does."""
    transformers = pytest.importorskip("transformers", reason="needs the extra dyncell[transformers]")
    tiny = {"hidden_sizes": (8, 8, 16, 16), "depths": (1, 1, 1, 1), "num_attention_heads": (1, 1, 2, 2)}
    tiny["sr_ratios"] = (2, 2, 2, 1)  # halved frames here have 24x32 pixels
    config = transformers.SegformerConfig(**tiny, decoder_hidden_size=16, num_labels=len(Shapes.classes))
    torch.manual_seed(0)
    model = transformers.SegformerForSemanticSegmentation(config).eval()
    balance(model.decode_head.classifier, lambda images: model(images).logits)
    model.save_pretrained(home / "segformer")
    return StaticConfig(network=f"hf:{home / 'segformer'}")


def resnet(home, whole_road):
    """Train `arch2` over a tiny random ResNet for one epoch of masks, which the video then does without."""
    transformers = pytest.importorskip("transformers", reason="needs the extra dyncell[transformers]")
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1])
    torch.manual_seed(0)
    transformers.ResNetForImageClassification(config).save_pretrained(home / "resnet")
    static = StaticConfig(encoder=f"hf:{home / 'resnet'}", epochs=1, batch=4, validate_every=1, encoder_rate=1e-2)
    trained = whole_road.train_static(static)
    network, facts = load_checkpoint(trained)
    balance(network.eval().classifier, network)
    save_checkpoint(home / "balanced.pt", network, facts)
    return StaticConfig(checkpoint=home / "balanced.pt")


@pytest.fixture
def home(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "road", raising=False)
    monkeypatch.setenv(TRUSTED, "")
    return tmp_path


@pytest.mark.parametrize("make", [function_of_the_page, segformer, pytest.param(resnet, marks=pytest.mark.drill)])
def test_a_network_goes_the_whole_road_on_a_video_without_masks(home, make, whole_road):
    video, static = film(home / "video"), make(home, whole_road)
    imitation = {"dec_weight": 1.0, "logit_weight": 1.0, "label_weight": 0.0}
    done = whole_road.go(static, trials=1, candidate={"label_weight": 0.0}, recipe=imitation, video=video)
    network = dyncell.load(done.checkpoint, device="cpu")
    assert [network.segment(frame).shape for frame in done.frames] == [frame.shape[:2] for frame in done.frames]
    assert np.asarray(network.colours).shape == (len(Shapes.classes), 3)


def test_a_network_that_is_only_checked_becomes_a_checkpoint(home, whole_road):
    static = function_of_the_page(home, whole_road)
    network, facts = load_checkpoint(whole_road.train_static(static), classes=len(Shapes.classes))
    assert facts["network"] == "road:network"
    assert network.channels["dec"] == 20


def test_a_network_of_other_classes_than_the_masks_is_refused(home, whole_road):
    transformers = pytest.importorskip("transformers", reason="needs the extra dyncell[transformers]")
    tiny = {"hidden_sizes": (8, 8, 16, 16), "depths": (1, 1, 1, 1), "num_attention_heads": (1, 1, 2, 2)}
    model = transformers.SegformerForSemanticSegmentation(transformers.SegformerConfig(**tiny, num_labels=3))
    model.save_pretrained(home / "three")
    with pytest.raises(DataError, match=r"has 3 classes, but shapes has \d; give one that was trained on these"):
        whole_road.train_static(StaticConfig(network=f"hf:{home / 'three'}"))
