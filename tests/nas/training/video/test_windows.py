"""Checks on the way of a video network over windows."""

import pytest
import torch

from baselines.fixed_points import FIXED_POINTS
from cache.static.network import StaticNetwork
from nas.networks.heads import build_head
from nas.networks.video_network import VideoNetwork
from nas.training.augmentation import Views
from nas.training.video.windows import Windows, outputs


def network(name):
    torch.manual_seed(0)
    static = StaticNetwork(4, auxiliary=False)
    return VideoNetwork(static, build_head(FIXED_POINTS[name], static.channels, static.classes, seed=0)).eval()


@pytest.mark.parametrize("name", ["per_frame", "tmanet_t1", "tdnet"])
def test_windows_give_what_streaming_frame_by_frame_gives(name):
    made, images = network(name), torch.randn(4, 2, 3, 24, 32)
    seen = outputs(made, images, static_learns=True)
    logits, state = made.first(images[0])
    for time in range(4):
        torch.testing.assert_close(seen.logits[time], logits)
        assert seen.features[time].shape == (2, 64, 3, 4)
        if time < 3:
            logits, state = made.later(images[time + 1], state)


def test_only_the_per_frame_network_decodes_later_frames():
    images = torch.randn(3, 2, 3, 24, 32)
    for name, decoded in (("tmanet_t1", [True, False, False]), ("per_frame", [True, True, True])):
        made = network(name)
        clip = made.static.clip_features(images, made.head.needs)
        assert ["dec" in frame for frame in clip] == decoded


@pytest.mark.parametrize("static_learns", [True, False])
def test_gradients_reach_the_static_network_only_if_it_learns(static_learns):
    made = network("tmanet_t1")
    outputs(made, torch.randn(3, 2, 3, 24, 32), static_learns).logits[-1].sum().backward()
    assert (made.static.encoder.features[0][0].weight.grad is not None) is static_learns
    assert (next(made.static.decoder.parameters()).grad is not None) is static_learns  # through the chain of frames
    assert made.head.classifier.weight.grad is not None


def test_no_gradient_is_kept_where_none_is_wanted():
    with torch.no_grad():
        seen = outputs(network("per_frame"), torch.randn(2, 1, 3, 24, 32), static_learns=True)
    assert not any(logits.requires_grad for logits in seen.logits)


def test_images_labels_and_flows_are_seen_in_the_same_views():
    images = torch.arange(8.0).expand(2, 2, 3, 6, 8)
    labels, flows = images[:, :, 0].byte(), torch.ones(1, 2, 2, 6, 8)
    views = Views.draw(2, (6, 8), (1.0, 1.0), torch.Generator().manual_seed(1), crop=4)
    seen = Windows(images, labels, (True, False), flows).apply(views)
    assert seen.labelled == (True, False)
    assert torch.equal(seen.images[:, :, 0].round().byte(), seen.labels)
    mirrored = seen.labels[0, :, 0, 0] > seen.labels[0, :, 0, 1]
    assert torch.equal(seen.flows[0, :, 0, 0, 0] < 0, mirrored)
    assert Windows(images, labels, (True, True)).apply(views).flows is None
