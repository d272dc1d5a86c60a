import math

import pytest
import torch

from nas.training.losses import class_weights, cross_entropy


def test_cross_entropy_is_the_mean_over_labelled_pixels():
    logits = torch.tensor([[[[0.0, 0.0, 5.0]], [[math.log(3), 0.0, 0.0]]]])  # (1, 2, 1, 3)
    target = torch.tensor([[[1, 0, 255]]], dtype=torch.uint8)
    assert cross_entropy(logits, target).item() == pytest.approx((math.log(4 / 3) + math.log(2)) / 2)


def test_class_weights_make_it_a_weighted_mean():
    logits = torch.zeros(1, 2, 1, 2)
    logits[0, 1, 0, 1] = math.log(3)
    target = torch.tensor([[[0, 1]]])
    weighted = cross_entropy(logits, target, torch.tensor([1.0, 3.0]))
    assert weighted.item() == pytest.approx((math.log(2) + 3 * math.log(4 / 3)) / 4)


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 2.0, 3.0])])
def test_value_and_gradient_are_torchs_own_where_something_is_labelled(weights):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 3, 5, 7, generator=generator, requires_grad=True)
    target = torch.randint(0, 4, (3, 5, 7), generator=generator).byte()
    target[target == 3] = 255
    expected = torch.nn.functional.cross_entropy(logits, target.long(), weights, ignore_index=255)
    (expected_gradient,) = torch.autograd.grad(expected, logits)
    (gradient,) = torch.autograd.grad(cross_entropy(logits, target, weights), logits)
    assert cross_entropy(logits, target, weights).item() == pytest.approx(expected.item())
    torch.testing.assert_close(gradient, expected_gradient)


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 2.0])])
def test_without_a_labelled_pixel_loss_and_gradient_are_zero(weights):
    logits = torch.randn(2, 2, 3, 3, requires_grad=True)
    loss = cross_entropy(logits, torch.full((2, 3, 3), 255, dtype=torch.uint8), weights)
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


def test_a_logit_that_is_not_a_number_is_not_hidden():
    assert cross_entropy(torch.full((1, 2, 1, 1), math.nan), torch.zeros(1, 1, 1, dtype=torch.uint8)).isnan()


def test_half_precision_logits_are_accumulated_in_float32():
    logits = torch.randn(1, 4, 30, 40).bfloat16()
    target = torch.randint(0, 4, (1, 30, 40))
    assert cross_entropy(logits, target).dtype == torch.float32
    assert torch.equal(cross_entropy(logits, target), cross_entropy(logits.float(), target))


def test_class_weights_are_enets():
    weights = class_weights(torch.tensor([3, 1, 0]))
    assert weights.tolist() == pytest.approx([1 / math.log(1.77), 1 / math.log(1.27), 1 / math.log(1.02)])
