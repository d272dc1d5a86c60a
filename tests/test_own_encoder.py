"""An encoder of one's own goes the whole road by being listed: from its first weights to a graph for a program."""

import pytest

from cache.static.network import load_checkpoint
from nas.networks.video_network import load_video_network
from nas.settings.config import StaticConfig

pytestmark = pytest.mark.slow


def test_an_encoder_that_is_listed_goes_the_whole_road(small_encoder, whole_road):
    trained = whole_road.train_static(
        StaticConfig(encoder=small_encoder, epochs=1, batch=4, validate_every=1, encoder_rate=1e-2)
    )
    static, _ = load_checkpoint(trained)
    assert (static.encoder_name, static.channels["layer4"]) == (small_encoder, 10)
    done = whole_road.go(StaticConfig(checkpoint=trained), trials=2)
    network, meta = load_video_network(done.checkpoint)
    assert network.static.encoder_name == small_encoder
    assert meta["epoch"] in (1, 2)
