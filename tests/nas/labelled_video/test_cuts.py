"""Cuts are found in made-up films; a pan, flicker, noise and things that move are none."""

import numpy as np
import pytest
import torch

from cache.frames import network_input
from nas.labelled_video.cuts import TINY, CutDetector, tiny_picture

SIZE = (96, 128)


def scene(seed, width=512):
    """Blobs of many sizes over a bright sky and a dark road, as wide as a camera can pan: float (96, width, 3)."""
    rng = np.random.default_rng(seed)
    picture = np.linspace(170, 90, SIZE[0])[:, None, None] * np.ones((1, width, 3))
    y, x = np.mgrid[: SIZE[0], :width]
    for _ in range(width // 4):
        row, column, radius = rng.uniform(0, SIZE[0]), rng.uniform(0, width), rng.uniform(3, 25)
        picture[(y - row) ** 2 + (x - column) ** 2 < radius**2] = rng.uniform(0, 255, 3)
    return picture


def film(*pictures):
    return [np.clip(picture, 0, 255).astype(np.uint8) for picture in pictures]


def still(seed, frames=12):
    rng = np.random.default_rng(seed)
    return film(*(scene(seed)[:, :128] + rng.normal(0, 12, (*SIZE, 3)) for _ in range(frames)))  # a noisy sensor


def pan(seed, speed, frames=12):
    return film(*(scene(seed)[:, speed * t : speed * t + 128] for t in range(frames)))


def flicker(seed, frames=12):
    lamp = [1, 0.6, 0.8, 0.5] * frames
    return film(*(scene(seed)[:, :128] * lamp[t] + 20 * (t % 3) for t in range(frames)))


def cuts(frames):
    comes_after_cut = CutDetector()
    return [place for place, frame in enumerate(frames) if comes_after_cut(network_input([frame], SIZE, "cpu"))]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("clip", [still, flicker, lambda seed: pan(seed, 4)])
def test_what_goes_on_has_no_cut(clip, seed):
    assert cuts(clip(seed)) == []


@pytest.mark.parametrize("seed", range(5))
def test_a_car_that_drives_through_is_no_cut(seed):
    frames = still(seed)
    for time, frame in enumerate(frames):
        frame[50:80, 10 * time : 10 * time + 40] = (200, 20, 20)
    assert cuts(frames) == []


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("clip", [still, flicker, lambda seed: pan(seed, 4)])
def test_a_cut_is_where_another_scene_begins(clip, seed):
    assert cuts([*clip(seed), *clip(seed + 100), *clip(seed + 200)]) == [12, 24]


@pytest.mark.parametrize("seed", range(5))
def test_a_camera_that_is_torn_round_is_a_cut_once_at_most(seed):
    assert cuts(pan(seed, speed=24, frames=16)) in ([], [1])


def test_a_second_frame_can_be_a_cut_and_black_is_another_scene():
    assert cuts([*still(0)[:1], *still(1)]) == [1]
    assert cuts([*still(0), *film(np.zeros((*SIZE, 3)), np.zeros((*SIZE, 3))), *still(0)]) == [12, 14]


def test_a_tiny_picture_has_no_brightness_and_no_contrast():
    image = torch.rand(1, 3, 45, 67, generator=torch.Generator().manual_seed(0))
    picture = tiny_picture(image)
    assert picture.shape == (1, *TINY)
    assert picture.mean().item() == pytest.approx(0, abs=1e-6)
    assert picture.square().mean().item() == pytest.approx(1, abs=1e-5)
    assert torch.allclose(picture, tiny_picture(0.3 * image + 2), atol=1e-4)
    assert not tiny_picture(torch.full((1, 3, 45, 67), 0.7)).any()
