"""Checks on the encoder: layout, sizes, taps."""

from pathlib import Path

import pytest
import torch

from cache.static.mobilenet_v2 import MobileNetV2

WEIGHTS = Path(__file__).parents[3] / "../shared/weights/mobilenet_v2_imagenet.pt"


def test_parameter_count_is_torchvisions_without_its_head():
    # torchvision's mobilenet_v2 has 3,504,872; features.18 has 320*1280 + 2*1280 and the classifier 1280*1000 + 1000
    head = 320 * 1280 + 2 * 1280 + 1280 * 1000 + 1000
    assert sum(p.numel() for p in MobileNetV2().parameters()) == 3_504_872 - head == 1_811_712


@pytest.mark.parametrize(
    ("size", "layer1", "layer2", "layer3", "layer4"),
    [
        ((360, 480), (90, 120), (45, 60), (23, 30), (12, 15)),
        ((180, 240), (45, 60), (23, 30), (12, 15), (6, 8)),
        ((97, 33), (25, 9), (13, 5), (7, 3), (4, 2)),
        ((1, 1), (1, 1), (1, 1), (1, 1), (1, 1)),
    ],
)
def test_each_stage_rounds_its_size_up(size, layer1, layer2, layer3, layer4):
    with torch.inference_mode():
        taps = MobileNetV2().eval()(torch.zeros(1, 3, *size))
    shapes = {name: tuple(tap.shape[1:]) for name, tap in taps.items()}
    assert shapes == {
        "layer1": (24, *layer1),
        "layer2": (32, *layer2),
        "layer3": (96, *layer3),
        "layer4": (320, *layer4),
    }


@pytest.mark.skipif(not WEIGHTS.exists(), reason="the ImageNet weights are not on this machine")
def test_names_and_shapes_are_torchvisions():
    published = torch.load(WEIGHTS, weights_only=True)
    own = MobileNetV2().state_dict()
    assert {name: value.shape for name, value in own.items()} == {
        name: value.shape for name, value in published.items() if not name.startswith(("features.18.", "classifier."))
    }
    assert len(published) - len(own) == 6 + 2  # the last convolution with its norm, the classifier


def test_a_tap_is_the_result_of_the_last_block_before_the_resolution_drops():
    encoder = MobileNetV2().eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        taps = encoder(images)
        torch.testing.assert_close(taps["layer1"], encoder.features[:4](images))
        torch.testing.assert_close(taps["layer4"], encoder.features(images))
        torch.testing.assert_close(encoder.features[7:14](taps["layer2"]), taps["layer3"])
