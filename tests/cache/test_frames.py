"""Checks on labelled frames as batches of tensors."""

import numpy as np
import pytest
import torch

from cache import frames as frames_module
from cache.datasets.clips import Frame
from cache.frames import Frames, LabelledFrames, network_input
from cache.images import IMAGENET_MEAN, IMAGENET_STD, resize_image, resize_label

CPU = torch.device("cpu")


class Clips:
    """Random frames that count how often they are read."""

    def __init__(self, count):
        rng = np.random.default_rng(0)
        self.reads = 0
        self.list = [Frame(str(i), "clip", i, labelled=i != 1) for i in range(count)]
        self.images = rng.integers(0, 256, (count, 12, 18, 3), dtype=np.uint8)
        self.labels = rng.integers(0, 4, (count, 12, 18), dtype=np.uint8)

    def image(self, frame):
        self.reads += 1
        return self.images[frame.number]

    def label(self, frame):
        return self.labels[frame.number]


def test_the_input_of_a_network_is_by_hand():
    pixels = np.array([[[0, 128, 255]]], np.uint8)
    expected = [(v / 255 - m) / s for v, m, s in zip((0, 128, 255), IMAGENET_MEAN, IMAGENET_STD, strict=True)]
    images = network_input([pixels, pixels], (1, 1), CPU)
    assert images.dtype == torch.float32
    np.testing.assert_allclose(images[1, :, 0, 0], expected, rtol=1e-6)
    assert network_input([pixels], (5, 7), CPU).shape == (1, 3, 5, 7)


def test_a_batch_is_what_reading_resizing_and_normalising_one_by_one_gives():
    clips = Clips(5)
    images, labels = LabelledFrames(clips, clips.list, (7, 9)).batch([3, 0], CPU)
    for i, number in enumerate((4, 0)):  # frame 1 has no label and is left out
        expected = (resize_image(clips.images[number], (7, 9)) / 255 - IMAGENET_MEAN) / IMAGENET_STD
        np.testing.assert_allclose(images[i].permute(1, 2, 0).numpy(), expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(labels[i].numpy(), resize_label(clips.labels[number], (7, 9)))
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_batches_go_through_all_labelled_frames_in_order():
    clips = Clips(6)
    frames = LabelledFrames(clips, clips.list, (12, 18))
    labels = torch.cat([labels for _, labels in frames.batches(2, CPU)])
    assert len(frames) == 5
    np.testing.assert_array_equal(labels.numpy(), clips.labels[[0, 2, 3, 4, 5]])


@pytest.mark.parametrize(("room", "reads"), [(10**6, 4), (4 * 12 * 18 * 4 - 1, 12)])
def test_frames_are_decoded_once_if_all_fit_in_memory_and_each_time_otherwise(monkeypatch, room, reads):
    monkeypatch.setattr(frames_module, "KEPT_BYTES", room)
    clips = Clips(5)
    frames = LabelledFrames(clips, clips.list, (12, 18))
    for _ in range(3):
        list(frames.batches(2, CPU))
    assert clips.reads == reads


def test_windows_are_batches_in_the_order_of_time_and_frames_without_a_label_are_void():
    clips = Clips(6)
    frames = Frames(clips, clips.list, (7, 9))
    images, labels = frames.windows(torch.tensor([[0, 1, 2], [3, 4, 5]]), CPU)
    assert images.shape == (3, 2, 3, 7, 9)
    for time in range(3):
        for window in range(2):
            image, label = frames.batch([3 * window + time], CPU)
            assert torch.equal(images[time, window], image[0])
            assert torch.equal(labels[time, window], label[0])
    assert (labels[1, 0] == 255).all()  # frame 1 has no label
    assert (labels[2, 0] < 255).all()
