"""What every encoder promises; a new one is held to it by being listed."""

import pytest
import torch

from cache.static.encoder import LAYERS
from cache.static.encoders import ENCODERS, build_encoder

SIZES = [(1, 1), (33, 50), (64, 97)]


@pytest.fixture(scope="module", params=ENCODERS)
def encoder(request):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_encoder(request.param).eval()


def images(size, batch=1):
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(0))


def test_an_unknown_encoder_is_named_with_those_that_there_are():
    with pytest.raises(ValueError, match="there is no encoder 'vgg'; known are mobilenet_v2"):
        build_encoder("vgg")


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_channels_and_strides_are_what_it_publishes(encoder, size):
    with torch.inference_mode():
        encoded = encoder(images(size))
    assert {name: tuple(layer.shape) for name, layer in encoded.items()} == {
        name: (1, encoder.channels[name], *(-(-side // encoder.strides[name]) for side in size)) for name in LAYERS
    }


def test_cells_find_the_grids_that_they_are_made_for(encoder):
    assert [encoder.strides[layer] for layer in ("layer2", "layer3", "layer4")] == [8, 16, 32]


@pytest.mark.parametrize("up_to", LAYERS)
def test_it_stops_at_the_layer_asked_for_and_can_go_on_from_there_to_the_same_bits(encoder, up_to):
    with torch.inference_mode():
        whole, part = encoder(images((33, 50), 2)), encoder(images((33, 50), 2), up_to)
        again = encoder.deeper(part)
    assert list(part) == list(LAYERS[: LAYERS.index(up_to) + 1])
    assert list(again) == list(LAYERS)
    assert all(torch.equal(again[layer], whole[layer]) for layer in LAYERS)
    assert all(torch.equal(part[layer], whole[layer]) for layer in part)


def test_a_layer_that_is_not_asked_for_is_not_computed(encoder, monkeypatch):
    asked = []
    monkeypatch.setattr(encoder, "stage", lambda layer, x: asked.append(layer) or x)
    encoder(images((8, 8)), "layer2")
    assert asked == ["layer1", "layer2"]


def test_every_parameter_gets_a_finite_gradient(encoder):
    sum(layer.sum() for layer in encoder(images((33, 50))).values()).backward()
    assert all(p.grad.isfinite().all() for p in encoder.parameters())
    encoder.zero_grad()
