"""What a candidate costs beside the per-frame network, where that is one's own."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from cache.static.encoders import build_encoder
from cache.static.network import StaticNetwork
from cache.static.own import OwnNetwork
from nas.networks.heads import build_head
from nas.settings.compute import Compute
from nas.training.candidates.costing import Costing

CPU = Compute(torch.device("cpu"), None)


class OfLayer1(nn.Module):
    """A decoder that works at a quarter of the resolution, as that of SegFormer does."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3, padding=1)

    def forward(self, encoded):
        return self.conv(encoded["layer1"]).relu()


@pytest.mark.parametrize("size", [(180, 240), (60, 84), (184, 240), (33, 50)])
def test_the_per_frame_network_costs_itself_at_every_size(size, small_encoder):
    own = OwnNetwork(build_encoder(small_encoder), OfLayer1(), nn.Conv2d(8, 3, 1), stride=4)
    static = StaticNetwork(3, own=own).eval()
    with torch.no_grad():
        encoded = static.features(torch.zeros(1, 3, *size))
    sizes = {name: tuple(tensor.shape[1:]) for name, tensor in encoded.items() if name != "layer1"}
    features = {name: torch.zeros(1, *sizes[name]) for name in sizes}
    clips = SimpleNamespace(compute=CPU, frame=lambda position: features, sizes=sizes, image_size=size)
    costs = Costing(clips, 0, static)(build_head(None, static.channels, 3, seed=0))
    assert costs.counts["relative_macs"] == 1
