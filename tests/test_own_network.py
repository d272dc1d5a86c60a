"""A trained network of one's own goes the whole road without labels: the page's example, and a SegFormer."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import dyncell
from cache.datasets.shapes import Shapes
from cache.errors import DataError
from cache.static.network import load_checkpoint
from cache.static.sources import TRUSTED
from nas.settings.config import StaticConfig

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[1] / "docs" / "own-network.md"


def function_of_the_page(home):
    """Write the page's two blocks as the module that it says they are, and the weights that it loads."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (home / "road.py").write_text("\n".join(blocks))
    import road

    torch.manual_seed(0)
    torch.save(road.RoadNet().state_dict(), home / "road.pt")
    return "road:network"


def segformer(home):
    """Save a tiny random SegFormer as transformers does."""
    transformers = pytest.importorskip("transformers", reason="needs the extra dyncell[transformers]")
    tiny = {"hidden_sizes": (8, 8, 16, 16), "depths": (1, 1, 1, 1), "num_attention_heads": (1, 1, 2, 2)}
    tiny["sr_ratios"] = (2, 2, 2, 1)  # frames here have 24x32 pixels
    config = transformers.SegformerConfig(**tiny, decoder_hidden_size=16, num_labels=len(Shapes.classes))
    torch.manual_seed(0)
    transformers.SegformerForSemanticSegmentation(config).save_pretrained(home / "segformer")
    return f"hf:{home / 'segformer'}"


@pytest.fixture
def home(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "road", raising=False)
    monkeypatch.setenv(TRUSTED, "")
    return tmp_path


@pytest.mark.parametrize("make", [function_of_the_page, segformer])
def test_a_network_of_one_s_own_goes_the_whole_road_without_labels(home, make, whole_road):
    name = make(home)
    static = StaticConfig(network=name)
    _, facts = load_checkpoint(whole_road.train_static(static), classes=len(Shapes.classes))
    assert facts["network"] == name
    imitation = {"dec_weight": 1.0, "logit_weight": 1.0, "label_weight": 0.0}
    done = whole_road.go(static, trials=1, candidate={"label_weight": 0.0}, recipe=imitation)
    network = dyncell.load(done.checkpoint, device="cpu")
    assert [network.segment(frame).shape for frame in done.frames] == [frame.shape[:2] for frame in done.frames]
    assert np.asarray(network.colours).shape == (len(Shapes.classes), 3)


def test_a_network_of_other_classes_than_the_masks_is_refused(home, whole_road):
    transformers = pytest.importorskip("transformers", reason="needs the extra dyncell[transformers]")
    tiny = {"hidden_sizes": (8, 8, 16, 16), "depths": (1, 1, 1, 1), "num_attention_heads": (1, 1, 2, 2)}
    model = transformers.SegformerForSemanticSegmentation(transformers.SegformerConfig(**tiny, num_labels=3))
    model.save_pretrained(home / "three")
    with pytest.raises(DataError, match=r"has 3 classes, but shapes has \d; give one that was trained on these"):
        whole_road.train_static(StaticConfig(network=f"hf:{home / 'three'}"))
