import pytest
import torch
from torch import nn
from torch.nn import functional

from searchspace.modules.layers import BatchNorm, resize


def test_batch_norm_is_the_usual_one_where_a_channel_has_several_values(draw, assert_same):
    ours, usual, x = BatchNorm(3).double(), nn.BatchNorm2d(3).double(), draw(1, 3, 1, 2)
    assert_same(ours(x), usual(x), [x])
    torch.testing.assert_close(ours.running_var, usual.running_var)


def test_batch_norm_of_a_single_value_uses_the_running_statistics_and_leaves_them_alone(draw):
    norm, x = BatchNorm(2).double(), draw(1, 2, 1, 1)
    norm.running_mean.copy_(torch.tensor([1.0, 2.0]))
    norm.running_var.copy_(torch.tensor([4.0, 9.0]))
    expected = (x.flatten() - torch.tensor([1.0, 2.0])) / torch.tensor([2.0, 3.0])
    torch.testing.assert_close(norm.train()(x).flatten(), expected, rtol=1e-5, atol=1e-5, check_dtype=False)
    assert norm.running_mean.tolist() == [1, 2]
    assert norm.num_batches_tracked == 0


def test_resize_takes_a_size_and_leaves_equal_sizes_alone(draw):
    x = draw(1, 2, 12, 15)
    assert resize(x, (23, 30)).shape == (1, 2, 23, 30)
    assert resize(x, (12, 15)) is x


def test_resize_is_bilinear_between_pixel_centres():
    row = torch.tensor([0.0, 4.0]).view(1, 1, 1, 2)  # four pixels out of two: centres at -1/4, 1/4, 3/4, 5/4
    assert resize(row, (1, 4)).flatten().tolist() == [0, 1, 3, 4]


@pytest.mark.parametrize("size", [(3, 4), (5, 9), (2, 2)])
def test_resize_of_one_value_a_channel_is_that_of_the_whole_map(size, draw, assert_same):
    x = draw(2, 3, 1, 1)
    expected = functional.interpolate(x.expand(-1, -1, 3, 4).clone(), size, mode="bilinear", align_corners=False)
    assert_same(resize(x.expand(-1, -1, 3, 4), size), expected, [x])


def test_resize_passes_on_the_gradient_of_a_part_of_a_concatenation(draw):
    x = draw(2, 3, 3, 4)
    other, weight = draw(2, 2, 5, 7, seed=1).detach(), draw(2, 5, 5, 7, seed=2).detach()
    grads = []
    for resized in (resize(x, (5, 7)), functional.interpolate(x, (5, 7), mode="bilinear", align_corners=False)):
        [grad] = torch.autograd.grad((torch.cat((other, resized), 1) * weight).sum(), x)
        grads.append(grad)
    torch.testing.assert_close(*grads)
