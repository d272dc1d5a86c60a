"""An encoder of one's own goes the whole road by being listed: from its first weights to a graph for a program."""

import pytest
from torch import nn

from cache.static.encoder import Encoder
from cache.static.encoders import ENCODERS
from cache.static.layers import conv_norm
from cache.static.network import load_checkpoint
from nas.networks.video_network import load_video_network
from nas.settings.config import StaticConfig

pytestmark = pytest.mark.slow


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


def test_an_encoder_that_is_listed_goes_the_whole_road(monkeypatch, whole_road):
    monkeypatch.setitem(ENCODERS, "small", Small)
    trained = whole_road.train_static(
        StaticConfig(encoder="small", epochs=1, batch=4, validate_every=1, encoder_rate=1e-2)
    )
    static, _ = load_checkpoint(trained)
    assert (static.encoder_name, static.channels["layer4"]) == ("small", 10)
    done = whole_road.go(StaticConfig(checkpoint=trained), trials=2)
    network, meta = load_video_network(done.checkpoint)
    assert network.static.encoder_name == "small"
    assert meta["epoch"] in (1, 2)
