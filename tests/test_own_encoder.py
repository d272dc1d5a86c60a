"""An encoder of one's own goes the whole road by being listed: from its first weights to a graph for a program."""

import json
from pathlib import Path

import pytest
from PIL import Image
from torch import nn

from cache.datasets import shapes
from cache.datasets.shapes import Shapes
from cache.static.encoder import Encoder
from cache.static.encoders import ENCODERS
from cache.static.layers import conv_norm
from cache.static.network import load_checkpoint
from nas import export, pretrain, retrain, search, segment
from nas.networks.video_network import load_video_network
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

DATA = DataConfig(dataset="shapes", scale=0.25, window=3, meta_val=0.5)
STATIC = StaticConfig(encoder="small", epochs=1, batch=4, validate_every=1, encoder_rate=1e-2)
ONE_THREAD = ComputeConfig(threads=1, precision="float32")


class Small(Encoder):
    """Five convolutions."""

    channels = {"layer1": 4, "layer2": 6, "layer3": 8, "layer4": 10}  # noqa: RUF012
    strides = {"layer1": 4, "layer2": 8, "layer3": 16, "layer4": 32}  # noqa: RUF012

    def __init__(self):
        super().__init__()
        self.layer1 = nn.Sequential(conv_norm(3, 4, 3, stride=2), conv_norm(4, 4, 3, stride=2))
        self.layer2, self.layer3, self.layer4 = (conv_norm(c - 2, c, 3, stride=2) for c in (6, 8, 10))

    def stage(self, layer, x):
        return self.get_submodule(layer)(x)


@pytest.fixture
def home(monkeypatch, tmp_path):
    monkeypatch.setitem(ENCODERS, "small", Small)
    for split in ("train", "val"):
        monkeypatch.setitem(shapes.CLIPS, split, 2)
    return tmp_path


def test_an_encoder_that_is_listed_goes_the_whole_road(home, capsys):
    machine = MachineConfig(cache_dir=home / "cache")
    shared = {"data": DATA, "machine": machine, "compute": ONE_THREAD}
    pretrain.main(pretrain.Arguments(config=PretrainConfig(**shared, static=STATIC)))
    trained = Path(capsys.readouterr().out.strip().splitlines()[-1])
    static, _ = load_checkpoint(trained)
    assert (static.encoder_name, static.channels["layer4"]) == ("small", 10)

    config = SearchConfig(
        **shared,
        static=StaticConfig(checkpoint=trained),
        space=SpaceConfig(blocks=2),
        candidate=CandidateConfig(epochs=2, batch=8, early_stop=False),
        strategy="random",
        fixed_points=("per_frame",),
        trials=2,
        confirm=0,
    )
    search.main(search.Arguments(config=config, run=home / "run"))
    trials = [json.loads(line) for line in (home / "run" / "trials.jsonl").read_text().splitlines()]
    assert [trial["status"] for trial in trials] == ["finished"] * 3

    recipe = RetrainConfig(retrain=RecipeConfig(head_epochs=1, epochs=1, batch=4))
    retrain.main(retrain.Arguments(run=home / "run", top_k=1, fixed_points=(), config=recipe, compute=ONE_THREAD))
    [checkpoint] = (home / "run" / "retrained").glob("cell*/network.pt")
    network, meta = load_video_network(checkpoint)
    assert network.static.encoder_name == "small"
    assert meta["epoch"] in (1, 2)

    clip = home / "clip"
    clip.mkdir()
    data = Shapes()
    for frame in data.frames("val")[:2]:
        Image.fromarray(data.image(frame)).save(clip / f"{frame.number:03}.png")
    segment.main(segment.Arguments(source=str(clip), checkpoint=checkpoint, output=home / "out", compute=ONE_THREAD))
    assert len(list((home / "out").rglob("*.png"))) >= 2
    export.main(export.Arguments(checkpoint=checkpoint, output=home / "graphs"))
    about = json.loads((home / "graphs" / "export.json").read_text())
    assert about["checked"]["largest_difference"] < 1e-3
