"""Checks on augmentation: images and labels move together, and nothing is invented."""

import itertools

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from baselines.warping import in_frame, warp
from nas.training.augmentation import Views, augment

VOID = 255


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def frames(count, height=12, width=16, classes=5):
    """Labels of random classes in 4x4 squares, and images that show the class: channel 0 is 1 + class."""
    squares = torch.randint(0, classes, (count, height // 4, width // 4), generator=seeded(1))
    labels = squares.repeat_interleave(4, 1).repeat_interleave(4, 2).to(torch.uint8)
    return (1.0 + labels)[:, None].repeat(1, 3, 1, 1), labels


def test_without_rescaling_half_of_the_frames_are_mirrored_and_the_rest_untouched():
    images, labels = frames(200)
    new_images, new_labels = augment(images, labels, (1.0, 1.0), seeded())
    mirrored = 0
    for image, label, new_image, new_label in zip(images, labels, new_images, new_labels, strict=True):
        same = torch.equal(new_label, label)
        expected = (image, label) if same else (image.flip(-1), label.flip(-1))
        torch.testing.assert_close((new_image, new_label), expected, rtol=1e-4, atol=1e-4)
        mirrored += not same
    assert 75 <= mirrored <= 125  # 200 fair coins stay within 3.5 standard deviations


@pytest.mark.parametrize("scale", [0.5, 0.7, 1.4, 2.0])
def test_image_and_label_stay_together_at_any_scale(scale):
    images, labels = frames(8)
    new_images, new_labels = augment(images, labels, (scale, scale), seeded())
    shown = new_images[:, 0]
    inner = (shown - shown.round()).abs() < 1e-4  # away from the borders of squares, where bilinear values mix
    assert inner.float().mean() > 0.3
    known = new_labels != VOID
    assert torch.equal(shown[inner & known].round(), 1.0 + new_labels[inner & known])
    assert (shown[inner & ~known] == 0).all()


def test_a_frame_made_half_as_large_lies_inside_with_void_around_it():
    images, labels = frames(32)
    _, new_labels = augment(images, labels, (0.5, 0.5), seeded())
    known = new_labels != VOID
    assert (known.sum((1, 2)) == labels[0].numel() // 4).all()
    assert len({tuple(frame.nonzero()[0].tolist()) for frame in known}) > 5  # at random places


def test_a_frame_made_larger_fills_the_picture():
    images, labels = frames(32)
    _, new_labels = augment(images, labels, (1.0, 2.0), seeded())
    assert (new_labels != VOID).all()


def test_halving_is_as_likely_as_doubling():
    images, labels = frames(400)
    _, new_labels = augment(images, labels, (0.5, 2.0), seeded())
    smaller = (new_labels == VOID).flatten(1).any(1).sum().item()
    assert 160 <= smaller <= 240  # four standard deviations around 200


def test_void_stays_void_and_no_other_class_appears():
    images, labels = frames(8)
    labels[labels == 3] = VOID
    _, new_labels = augment(images, labels, (0.5, 2.0), seeded())
    assert set(new_labels.unique().tolist()) <= {0, 1, 2, 4, VOID}


def test_the_generator_decides_everything():
    images, labels = frames(4)
    first, again = (augment(images, labels, (0.5, 2.0), seeded(3)) for _ in range(2))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], augment(images, labels, (0.5, 2.0), seeded(4))[0])


def test_sizes_and_types_are_kept_and_inputs_not_written_to():
    images, labels = frames(3, height=8, width=20)
    before = images.clone(), labels.clone()
    new_images, new_labels = augment(images, labels, (0.5, 2.0), seeded())
    assert (new_images.shape, new_images.dtype) == (images.shape, images.dtype)
    assert (new_labels.shape, new_labels.dtype) == (labels.shape, labels.dtype)
    assert new_images.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, before[0])
    assert torch.equal(labels, before[1])


def viewed(images, labels, scale_range=(1.0, 1.0), seed=0, crop=0):
    views = Views.draw(images.shape[-4], tuple(images.shape[-2:]), scale_range, seeded(seed), crop)
    return views.of_images(images), views.of_labels(labels)


@given(count=st.integers(1, 4), windows=st.integers(1, 3), crop=st.integers(0, 20), seed=st.integers(0, 99))
def test_all_frames_of_a_window_get_the_same_view_and_windows_their_own(count, windows, crop, seed):
    images, labels = frames(windows)
    clip = images.expand(count, *images.shape), labels.expand(count, *labels.shape)
    new_images, new_labels = viewed(*clip, (0.5, 2.0), seed, crop)
    image, label = viewed(images, labels, (0.5, 2.0), seed, crop)  # the same draws, one frame a window
    assert all(torch.equal(each, image) for each in new_images)
    assert all(torch.equal(each, label) for each in new_labels)


def test_an_unscaled_crop_is_a_piece_of_the_frame_or_of_its_mirror_image():
    images, labels = frames(64)
    new_images, new_labels = viewed(images, labels, crop=9)
    assert new_labels.shape == (64, 9, 9)
    corners = set()
    for image, label, new_image, new_label in zip(images, labels, new_images, new_labels, strict=True):
        places = itertools.product((False, True), range(4), range(8))
        pieces = [place for place in places if torch.equal(piece(label, *place), new_label)]
        torch.testing.assert_close(new_image, piece(image, *pieces[0]), rtol=1e-4, atol=1e-4)
        corners.add(pieces[0])
    assert len(corners) > 15


def piece(frame, mirrored, top, left):
    whole = frame.flip(-1) if mirrored else frame
    return whole[..., top : top + 9, left : left + 9]


def test_a_crop_larger_than_the_frame_changes_nothing():
    cropped, whole = (viewed(*frames(4), (0.5, 2.0), crop=crop) for crop in (600, 0))
    assert torch.equal(cropped[0], whole[0])
    assert torch.equal(cropped[1], whole[1])


@pytest.mark.parametrize(("scale", "crop"), [(1.0, 0), (1.0, 9), (2.0, 0), (2.0, 9), (0.5, 0)])
def test_flow_leads_to_the_same_surface_in_a_view_as_in_the_frame(scale, crop):
    flow = torch.tensor([2.0, -2.0]).view(1, 2, 1, 1).expand(16, 2, 12, 16)
    images = torch.rand(16, 3, 12, 16, generator=seeded(1))
    other = torch.rand(16, 3, 12, 16, generator=seeded(2))
    other[:, :, :10, 2:] = images[:, :, 2:, :14]  # the surface at (x, y) is at (x + 2, y - 2)
    views = Views.draw(16, (12, 16), (scale, scale), seeded(), crop)
    moved = views.of_flows(flow)
    mirrored = views.maps[:, 0, 0] < 0
    assert 0 < mirrored.sum() < 16
    inside = views.of_labels(torch.zeros(16, 12, 16, dtype=torch.uint8)) != VOID
    known = in_frame(moved)
    assert not known[~inside].any()
    assert torch.equal(moved[:, 0][inside].sign() < 0, mirrored[:, None, None].expand_as(inside)[inside])
    assert moved[:, 1][inside].unique().tolist() == [-2 * scale]
    difference = (warp(views.of_images(other), moved) - views.of_images(images)).abs().amax(1)
    assert (difference[known] < 1e-3).float().mean() > 0.6  # all but the borders, where one side is cut
