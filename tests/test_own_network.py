"""A trained network of one's own goes the whole road without labels: the page's example, and a SegFormer."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import dyncell
from cache.datasets import shapes
from cache.datasets.shapes import Shapes
from cache.errors import DataError
from cache.static.network import load_checkpoint
from cache.static.sources import TRUSTED
from nas import export, pretrain, retrain, search, segment
from nas.settings.config import (
    CandidateConfig,
    ComputeConfig,
    DataConfig,
    MachineConfig,
    PretrainConfig,
    SearchConfig,
    SpaceConfig,
    StaticConfig,
)
from nas.settings.retrain_config import RecipeConfig, RetrainConfig

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[1] / "docs" / "own-network.md"
DATA = DataConfig(dataset="shapes", scale=0.25, window=3, meta_val=0.5)
ONE_THREAD = ComputeConfig(threads=1, precision="float32")


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
    for split in ("train", "val"):
        monkeypatch.setitem(shapes.CLIPS, split, 2)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "road", raising=False)
    monkeypatch.setenv(TRUSTED, "")
    return tmp_path


@pytest.mark.parametrize("make", [function_of_the_page, segformer])
def test_a_network_of_one_s_own_goes_the_whole_road_without_labels(home, make, capsys):
    name = make(home)
    shared = {"data": DATA, "machine": MachineConfig(cache_dir=home / "cache"), "compute": ONE_THREAD}
    pretrain.main(pretrain.Arguments(config=PretrainConfig(**shared, static=StaticConfig(network=name))))
    adopted = Path(capsys.readouterr().out.strip().splitlines()[-1])
    _, facts = load_checkpoint(adopted, classes=len(Shapes.classes))
    assert facts["network"] == name

    config = SearchConfig(
        **shared,
        static=StaticConfig(network=name),
        space=SpaceConfig(blocks=2),
        candidate=CandidateConfig(epochs=2, batch=8, early_stop=False, label_weight=0.0),
        strategy="random",
        fixed_points=("per_frame",),
        trials=1,
        confirm=0,
    )
    search.main(search.Arguments(config=config, run=home / "run"))
    trials = [json.loads(line) for line in (home / "run" / "trials.jsonl").read_text().splitlines()]
    assert [trial["status"] for trial in trials] == ["finished"] * 2, trials

    recipe = RecipeConfig(head_epochs=1, epochs=1, batch=4, dec_weight=1.0, logit_weight=1.0, label_weight=0.0)
    asked = RetrainConfig(retrain=recipe)
    retrain.main(retrain.Arguments(run=home / "run", top_k=1, fixed_points=(), config=asked, compute=ONE_THREAD))
    [checkpoint] = (home / "run" / "retrained").glob("cell*/network.pt")

    (home / "clip").mkdir()
    frames = [Shapes().image(frame) for frame in Shapes().frames("val")[:2]]
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(home / "clip" / f"{number}.png")
    source, output = str(home / "clip"), home / "out"
    segment.main(segment.Arguments(source=source, checkpoint=checkpoint, output=output, compute=ONE_THREAD))
    assert len(list(output.rglob("*.png"))) >= 2
    network = dyncell.load(checkpoint, device="cpu")
    assert [network.segment(frame).shape for frame in frames] == [frame.shape[:2] for frame in frames]
    assert np.asarray(network.colours).shape == (len(Shapes.classes), 3)
    export.main(export.Arguments(checkpoint=checkpoint, output=home / "graphs"))
    about = json.loads((home / "graphs" / "export.json").read_text())
    assert about["checked"]["largest_difference"] < 1e-3


def test_a_network_of_other_classes_than_the_masks_is_refused(home):
    transformers = pytest.importorskip("transformers", reason="needs the extra dyncell[transformers]")
    tiny = {"hidden_sizes": (8, 8, 16, 16), "depths": (1, 1, 1, 1), "num_attention_heads": (1, 1, 2, 2)}
    model = transformers.SegformerForSemanticSegmentation(transformers.SegformerConfig(**tiny, num_labels=3))
    model.save_pretrained(home / "three")
    config = PretrainConfig(
        data=DATA,
        machine=MachineConfig(cache_dir=home / "cache"),
        compute=ONE_THREAD,
        static=StaticConfig(network=f"hf:{home / 'three'}"),
    )
    with pytest.raises(DataError, match=r"has 3 classes, but shapes has \d; give one that was trained on these"):
        pretrain.main(pretrain.Arguments(config=config))
