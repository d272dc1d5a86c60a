"""Checks on video networks over whole clips."""

import pytest
import torch
from torch.nn import functional

from baselines.fixed_points import FIXED_POINTS
from cache.datasets import shapes
from cache.datasets.clips import Frame, labelled_clips
from cache.datasets.shapes import Shapes
from cache.frames import Frames
from cache.static.network import StaticNetwork
from nas.evaluation.metrics import ConfusionMatrix
from nas.evaluation.streaming import streaming_confusion
from nas.networks.heads import build_head
from nas.networks.video_network import VideoNetwork
from nas.settings.compute import Compute
from nas.settings.errors import NonFiniteError

CPU = Compute(torch.device("cpu"), None)
SIZE = (24, 32)


@pytest.mark.parametrize(
    ("labelled", "expected"),
    [
        ((0, 1, 2, 3, 4, 5), [range(3), range(3, 6)]),
        ((1, 4), [range(2), range(3, 5)]),
        ((0, 5), [range(1), range(3, 6)]),
        ((2,), [range(3)]),
        ((), []),
    ],
)
def test_labelled_clips_end_at_jumps_and_at_the_last_label(labelled, expected):
    numbers = (0, 1, 2, 50, 51, 52)
    frames = [Frame(str(place), "clip", number, place in labelled) for place, number in enumerate(numbers)]
    assert list(labelled_clips(frames)) == expected


@pytest.mark.parametrize(("name", "refresh"), [("per_frame", 0), ("tmanet", 0), ("tmanet", 2)])
def test_frames_after_the_first_are_scored_with_a_memory_that_starts_anew_with_each_key_frame(
    monkeypatch, name, refresh
):
    monkeypatch.setitem(shapes.CLIPS, "val", 2)
    data = Shapes()
    frames = Frames(data, data.frames("val"), SIZE)
    torch.manual_seed(0)
    static = StaticNetwork(6, auxiliary=False)
    network = VideoNetwork(static, build_head(FIXED_POINTS[name], static.channels, 6, seed=0), refresh).train()
    matrix = streaming_confusion(network, frames, (range(4), range(10, 13)), CPU)
    assert not network.training
    expected = ConfusionMatrix(6)
    with torch.no_grad():
        for start, stop in ((0, 4), (10, 13)):
            images, labels = frames.batch(range(start, stop), CPU.device)
            _, state = network.first(images[:1])
            for place, (image, label) in enumerate(zip(images[1:], labels[1:], strict=True), start=1):
                key = refresh and place % refresh == 0
                logits, state = network.first(image[None]) if key else network.later(image[None], state)
                full = functional.interpolate(logits, SIZE, mode="bilinear")
                expected.update(full.argmax(1), label[None])
    assert torch.equal(matrix.counts, expected.counts)
    network.head.classifier.bias.data[1] = torch.nan
    with pytest.raises(NonFiniteError, match="logits are infinite or not numbers"):
        streaming_confusion(network, frames, (range(4),), CPU)
