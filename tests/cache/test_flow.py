import cv2
import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, map_coordinates

from cache.datasets.clips import Frame
from cache.datasets.shapes import LENGTH, SIZE, Shapes
from cache.errors import DataError
from cache.flow import SHORT_GAP, ensure_flows, optical_flow, resize_flow, short_pairs

RIGHT, DOWN = 3.5, -2.0


def shifted(right, down, size=(96, 120)):
    """A texture; what is at p for no shift is at p + (right, down) here."""
    y, x = np.indices(size)
    noise = gaussian_filter(np.random.default_rng(0).normal(size=(160, 180, 3)), (3, 3, 0))
    channels = [
        map_coordinates(each, (y - down + 30, x - right + 30)) for each in np.moveaxis(noise / noise.std(), -1, 0)
    ]
    return (np.clip(np.stack(channels, -1), -2.5, 2.5) * 50 + 127).astype(np.uint8)


class Clips:
    """Frames of a texture that moves by (RIGHT, DOWN) each; `gap` frames of the video lie between two."""

    name, size = "clips", (96, 120)

    def __init__(self, gap=2):
        self.gap = gap
        self.images_read = 0

    def frames(self, split):
        return tuple(Frame(f"{split}{i}", split, i * self.gap) for i in range(3))

    def image(self, frame):
        self.images_read += 1
        steps = frame.number // self.gap
        return shifted(RIGHT * steps, DOWN * steps)

    def fingerprint(self, split):
        return f"{split}{self.gap}"


def test_the_flow_points_from_a_pixel_to_where_it_is_in_the_other_image():
    image, other = shifted(0, 0), shifted(RIGHT, DOWN)
    flow = optical_flow(image, other)
    assert flow.shape == (96, 120, 2)
    assert flow.dtype == np.float32
    np.testing.assert_allclose(np.median(flow, axis=(0, 1)), [RIGHT, DOWN], atol=0.05)
    y, x = np.indices(image.shape[:2])
    warped = map_coordinates(other[..., 0].astype(float), (y + flow[..., 1], x + flow[..., 0]), order=1)
    inside = np.s_[10:-10, 10:-10]
    assert abs(warped - image[..., 0])[inside].mean() < 2
    assert abs(other[..., 0].astype(float) - image[..., 0])[inside].mean() > 20  # as far apart as the images are


def test_the_flow_depends_on_the_images_alone():
    image, other = shifted(0, 0), shifted(RIGHT, DOWN)
    flow, threads = optical_flow(image, other), cv2.getNumThreads()
    try:
        for count in (1, 2, 5):
            cv2.setNumThreads(count)
            np.testing.assert_array_equal(optical_flow(image, other), flow)
    finally:
        cv2.setNumThreads(threads)


def test_a_resized_flow_is_of_the_same_motion():
    flow = np.zeros((4, 6, 2), np.float32)
    flow[:, 3:] = [6, -8]
    half = resize_flow(flow, (2, 3))
    np.testing.assert_array_equal(half, [[[0, 0], [3, -4], [3, -4]]] * 2)  # the middle one's centre lies at column 3
    np.testing.assert_array_equal(resize_flow(flow, (4, 2)), [[[0, 0], [2, -8]]] * 4)
    np.testing.assert_array_equal(resize_flow(flow, (8, 12))[:, 6:], np.broadcast_to([12, -16], (8, 6, 2)))
    assert resize_flow(flow, (4, 6)) is flow


def test_short_pairs_keep_to_one_run_and_to_a_short_gap():
    numbers = {"a": [0, 2, 4, 40, 42], "b": [0, SHORT_GAP + 1]}
    frames = [Frame(f"{name}{n}", name, n) for name, all_of_it in numbers.items() for n in all_of_it]
    assert short_pairs(frames, 1) == ((0, 1), (1, 2), (3, 4))
    assert short_pairs(frames, -1) == ((1, 0), (2, 1), (4, 3))
    assert short_pairs(frames, 2) == ((0, 2),)
    assert short_pairs([], 1) == ()


def test_flows_of_shapes_are_exact(tmp_path):
    shapes, frames = Shapes(), Shapes().frames("val")
    flows = ensure_flows(shapes, "val", size=SIZE, directory=tmp_path, offsets=(1, -1, 2))
    assert len(flows.pairs) == 6 * (2 * (LENGTH - 1) + LENGTH - 2)
    batch = flows.batch([(0, 1), (12, 11), (3, 5)])
    assert batch.shape == (3, 2, *SIZE)
    assert batch.dtype == torch.float32
    expected = [shapes.flow(frames[0]), -shapes.flow(frames[12]), 2 * shapes.flow(frames[3])]
    np.testing.assert_array_equal(batch.permute(0, 2, 3, 1), np.stack(expected))
    half = ensure_flows(shapes, "val", size=(48, 64), directory=tmp_path)
    np.testing.assert_array_equal(half.batch([(0, 1)])[0, 0], expected[0][1::2, 1::2, 0] / 2)


@pytest.mark.parametrize("pair", [(LENGTH - 1, LENGTH), (0, 2), (0, 0)], ids=["next clip", "offset not made", "itself"])
def test_a_flow_that_was_not_made_is_refused(tmp_path, pair):
    flows = ensure_flows(Shapes(), "val", size=(24, 32), directory=tmp_path)
    with pytest.raises(KeyError, match="no flow"):
        flows.batch([(0, 1), pair])


def test_estimated_flows_are_made_once_in_half_precision_and_again_if_damaged(tmp_path):
    clips = Clips()
    made = ensure_flows(clips, "train", size=clips.size, directory=tmp_path)
    assert clips.images_read == 3
    exact = optical_flow(shifted(0, 0), shifted(RIGHT, DOWN))
    np.testing.assert_allclose(made.batch([(0, 1)])[0].permute(1, 2, 0), exact, atol=2e-3)
    assert made.batch([(1, 0)]).mean(dim=(0, 2, 3)).tolist() == pytest.approx([-RIGHT, -DOWN], abs=0.3)
    ensure_flows(clips, "train", size=clips.size, directory=tmp_path)
    assert clips.images_read == 3
    (path,) = tmp_path.glob("flow-clips-96x120-*.h5")
    path.write_bytes(path.read_bytes()[:-100])
    again = ensure_flows(clips, "train", size=clips.size, directory=tmp_path)
    assert clips.images_read == 6
    assert torch.equal(again.batch([(0, 1)]), made.batch([(0, 1)]))


def test_frames_a_second_apart_have_no_flow(tmp_path):
    with pytest.raises(DataError, match="no two frames in the train list of clips are at most 6 frames"):
        ensure_flows(Clips(gap=30), "train", size=(96, 120), directory=tmp_path)
    assert list(tmp_path.iterdir()) == []
