import numpy as np
import pytest
import torch

from cache.datasets.clips import VOID
from cache.datasets.shapes import LENGTH, Shapes
from nas.evaluation.temporal_consistency import TemporalConsistency

STILL = torch.zeros(1, 2, 1, 4)


def scores_of(earlier, later, forward=STILL, backward=STILL, classes=3):
    consistency = TemporalConsistency(classes)
    consistency.update(torch.tensor([[earlier]]), torch.tensor([[later]]), forward, backward)
    return consistency.scores()


def to_the_right(pixels):
    flow = STILL.clone()
    flow[:, 0] = pixels
    return flow


def test_the_same_classes_in_a_still_scene_are_consistent():
    scores = scores_of([0, 1, 1, 2], [0, 1, 1, 2])
    assert scores == {"tc": 1.0, "tc_unmasked": 1.0, "tc_etc": 1.0}


def test_one_pixel_of_four_that_changes_its_class():
    """Class 0: one of two, class 1: two of three; class 2 is in neither frame, which only ETC's code counts, as 0."""
    scores = scores_of([0, 0, 1, 1], [0, 1, 1, 1])
    assert scores["tc"] == scores["tc_unmasked"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert scores["tc_etc"] == pytest.approx((1 / 2 + 2 / 3) / 3)


def test_a_class_in_one_frame_only_counts_as_0():
    assert scores_of([0, 0, 1, 1], [0, 0, 0, 0])["tc"] == pytest.approx((2 / 4 + 0) / 2)


def test_what_moves_keeps_its_class_and_what_was_outside_counts_only_unmasked():
    """All moves one pixel to the right; the new first pixel is compared with the border, which had class 0."""
    scores = scores_of([0, 0, 1, 2], [1, 0, 0, 1], to_the_right(1), to_the_right(-1))
    assert scores["tc"] == 1.0
    assert scores["tc_unmasked"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    # Back to the earlier frame: 0 0 1 and, from the border, 1 where there was 2.
    assert scores["tc_etc"] == pytest.approx((1 + 1 / 2 + 0) / 3)


def test_what_is_covered_counts_only_unmasked():
    """A pixel of class 1 moves two to the right over still ground; that bares the ground where it was."""
    forward, backward = STILL.clone(), STILL.clone()
    forward[0, 0, 0, 0], backward[0, 0, 0, 2] = 2, -2
    scores = scores_of([1, 0, 0, 0], [0, 0, 1, 0], forward, backward)
    assert scores["tc"] == 1.0
    assert scores["tc_unmasked"] == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_class_numbers_are_interpolated_and_cut_off_as_etc_does():
    """By 0.3 pixels: 0, 0.6, 2, 2 become 0, 0, 2, 2; by 0.6: 0, 1.2, 2, 2 become 0, 1, 2, 2."""
    classes = [0, 0, 2, 2]
    assert scores_of(classes, classes, to_the_right(0.3), to_the_right(-0.3))["tc_etc"] == pytest.approx(2 / 3)
    scores = scores_of(classes, classes, to_the_right(0.6), to_the_right(-0.6))
    assert scores["tc_etc"] == pytest.approx((1 / 2 + 0 + 1) / 3)


def resampled(numbers, flow):
    """Naive transcription of FlowNet2's Resample2d at kernel size 1, and of ETC's cast to whole numbers after it."""
    single, (height, width) = np.float32, numbers.shape
    warped = np.empty_like(numbers)
    for y in range(height):
        for x in range(width):
            xf, yf = single(x) + flow[0, y, x], single(y) + flow[1, y, x]
            alpha, beta = xf - np.floor(xf), yf - np.floor(yf)
            assert {type(value) for value in (xf, yf, alpha, beta)} == {single}
            left, right = (max(min(int(np.floor(xf)) + step, width - 1), 0) for step in (0, 1))
            top, below = (max(min(int(np.floor(yf)) + step, height - 1), 0) for step in (0, 1))
            a, b = float(alpha), float(beta)  # the literal 1. makes double products of all but the last
            value = single(0)
            value += single((1.0 - a) * (1.0 - b) * float(numbers[top, left]))
            value += single(a * (1.0 - b) * float(numbers[top, right]))
            value += single((1.0 - a) * b * float(numbers[below, left]))
            value += alpha * beta * single(numbers[below, right])
            warped[y, x] = int(value)
    return warped


def miou_counting_absent_classes_as_0(one, other, classes):
    pairs = [((one == c) & (other == c), (one == c) | (other == c)) for c in range(classes)]
    return np.mean([both.sum() / max(1, either.sum()) for both, either in pairs])


@pytest.mark.parametrize("blocks", [1, 4])
def test_the_arithmetic_of_etcs_code_is_its_own_to_the_last_pixel(blocks):
    """In large patches of one class, where rounding takes many pixels to the class below, and in small ones."""
    rng, classes = np.random.default_rng(blocks), 19
    patch = np.ones((24 // blocks, 32 // blocks), int)
    earlier, later = (np.kron(rng.integers(0, classes, (blocks, blocks)), patch) for _ in range(2))
    flow = rng.normal(0, 2, (2, 24, 32)).astype(np.float32)
    consistency, forward = TemporalConsistency(classes), torch.from_numpy(flow)[None]
    consistency.update(torch.from_numpy(earlier)[None], torch.from_numpy(later)[None], forward, -forward)
    warped = resampled(later, flow)
    assert (warped != resampled(later, np.zeros_like(flow))).any()
    expected = miou_counting_absent_classes_as_0(warped, earlier, classes)
    assert consistency.scores()["tc_etc"] == pytest.approx(expected, abs=1e-12)


def test_rounding_takes_some_pixels_of_one_class_to_the_class_below():
    flow = torch.from_numpy(np.random.default_rng(0).normal(0, 2, (1, 2, 40, 50)).astype(np.float32))
    one_class = torch.full((1, 40, 50), 18)
    consistency = TemporalConsistency(19)
    consistency.update(one_class, one_class, flow, -flow)
    assert 0.01 < 1 - 19 * consistency.scores()["tc_etc"] < 0.06


def test_void_pixels_of_labels_do_not_count():
    scores = scores_of([0, VOID, 1, 1], [0, 1, VOID, 1], classes=2)
    assert scores == {"tc": 1.0, "tc_unmasked": 1.0, "tc_etc": 1.0}
    half = to_the_right(0.5), to_the_right(-0.5)
    beside = scores_of([1, 1, 1, 1], [1, 1, VOID, 0], *half, classes=2)  # only the first and last pixels touch no void
    assert beside["tc_etc"] == pytest.approx((0 + 1 / 2) / 2)


def test_pairs_are_pooled_and_not_averaged():
    consistency = TemporalConsistency(2)
    flow = torch.zeros(1, 2, 1, 4)
    consistency.update(torch.tensor([[[0, 0, 0, 0]]]), torch.tensor([[[0, 0, 0, 1]]]), flow, flow)
    consistency.update(torch.tensor([[[1, 1, 1, 1]]]), torch.tensor([[[1, 1, 1, 1]]]), flow, flow)
    assert consistency.scores()["tc"] == pytest.approx((3 / 4 + 4 / 5) / 2)


def test_without_any_pixel_there_is_no_score():
    with pytest.raises(ValueError, match="no pixel"):
        TemporalConsistency(2).scores()
    with pytest.raises(ValueError, match="no pixel"):
        scores_of([VOID] * 4, [0] * 4)


def test_the_labels_of_shapes_are_wholly_consistent_where_they_are_seen():
    """With exact flow: of a surface that stays in the frame and uncovered, nothing can change."""
    shapes = Shapes()
    frames = shapes.frames("val")[:LENGTH]
    labels = torch.from_numpy(np.stack([shapes.label(frame) for frame in frames]))
    flows = torch.from_numpy(np.stack([shapes.flow(frame) for frame in frames])).permute(0, 3, 1, 2)
    exact, still = (TemporalConsistency(len(shapes.classes)) for _ in range(2))
    exact.update(labels[:-1], labels[1:], flows[:-1], -flows[1:])
    still.update(labels[:-1], labels[1:], torch.zeros_like(flows[1:]), torch.zeros_like(flows[1:]))
    assert exact.scores()["tc"] == 1.0
    assert still.scores()["tc"] < exact.scores()["tc_unmasked"] < 1
