import inspect

import pytest
import torch
from torch import nn
from torch.nn import functional

from searchspace.aggregations import AGGREGATIONS, AffineSampling, PredictiveFilter
from searchspace.choices import AGGREGATIONS as RULES
from searchspace.genotype import SYMMETRIC

PAPER = {  # parameters at 64 channels, facts/nas.md section 8
    "weighted_sum": 128,
    "concat": 8_320,
    "predictive_filter": 585,
    "affine_sampling": 390,
    "conv3d": 73_856,
    "attention_gate": 0,
}
SHAPES = [(1, 2, 3, 1), (2, 2, 1, 1), (2, 2, 3, 4), (1, 2, 5, 4)]


def test_builders_take_exactly_the_parameters_that_the_rules_name():
    for name, builder in AGGREGATIONS.items():
        assert ["channels", *RULES[name]] == list(inspect.signature(builder).parameters)
    assert AGGREGATIONS.keys() == RULES.keys()


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_parameters_are_as_many_as_the_facts_say(name):
    assert sum(p.numel() for p in AGGREGATIONS[name](64).parameters()) == PAPER[name]


@pytest.mark.parametrize("name", AGGREGATIONS)
@pytest.mark.parametrize("shape", [(1, 8, 1, 1), (1, 8, 3, 1), (2, 8, 7, 5), (1, 8, 12, 15)], ids=str)
def test_any_size_and_batch_trains_and_keeps_its_shape(name, shape, draw):
    aggregation = AGGREGATIONS[name](8)
    x1, x2 = draw(*shape, dtype=torch.float32), draw(*shape, seed=1, dtype=torch.float32)
    y = aggregation(x1, x2)
    y.sum().backward()
    assert y.shape == x1.shape
    assert y.isfinite().all()
    assert all(tensor.grad.isfinite().all() for tensor in (x1, x2, *aggregation.parameters()))


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_images_of_a_batch_do_not_mix_in_eval_mode(name, draw, stir):
    aggregation = stir(AGGREGATIONS[name](4)).double().eval()
    x1, x2 = draw(3, 4, 7, 5), draw(3, 4, 7, 5, seed=1)
    one_by_one = [aggregation(one, two) for one, two in zip(x1.split(1), x2.split(1), strict=True)]
    torch.testing.assert_close(aggregation(x1, x2), torch.cat(one_by_one))


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_bfloat16_autocast_stays_close_to_float32(name, draw, stir):
    aggregation = stir(AGGREGATIONS[name](16), 0.05)
    x1, x2 = draw(2, 16, 9, 7, dtype=torch.float32), draw(2, 16, 9, 7, seed=1, dtype=torch.float32)
    full = aggregation(x1, x2)
    with torch.autocast("cpu", torch.bfloat16):
        half = aggregation(x1, x2)
    half.float().sum().backward()
    assert (half.float() - full).abs().mean() < 0.03 * full.std()
    assert all(p.grad.isfinite().all() for p in aggregation.parameters())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", AGGREGATIONS)
def test_cuda_agrees_with_the_cpu(name, draw, stir):
    aggregation = stir(AGGREGATIONS[name](8), 0.05)
    x1, x2 = draw(2, 8, 9, 7, dtype=torch.float32), draw(2, 8, 9, 7, seed=1, dtype=torch.float32)
    expected = aggregation(x1, x2)
    torch.testing.assert_close(aggregation.cuda()(x1.cuda(), x2.cuda()).cpu(), expected, rtol=1e-2, atol=1e-2)


def weighted_sum(naive, module, x1, x2):
    a, b = module.first.flatten(), module.second.flatten()
    return naive.every_pixel(x1, lambda n, r, c: a * x1[n, :, r, c] + b * x2[n, :, r, c])


def concat(naive, module, x1, x2):
    convolution, norm, _ = module.conv
    both = naive.every_pixel(x1, lambda n, r, c: torch.cat((x1[n, :, r, c], x2[n, :, r, c])))
    return naive.norm_relu(naive.conv(both, convolution.weight), norm)


def conv3d(naive, module, x1, x2):
    convolution, norm, _ = module.conv
    first, second = convolution.weight.split(x1.shape[1], dim=1)  # the two taps in depth
    return naive.norm_relu(naive.conv(x1, first) + naive.conv(x2, second), norm)


def predictive_filter(naive, module, x1, x2):
    kernels = naive.conv(x1, module.kernel.weight)

    def value(n, row, column):
        taps = kernels[n, :, row, column] + module.kernel.bias
        return sum(taps[t] * naive.pixel(x2, n, row + t // 3 - 1, column + t % 3 - 1) for t in range(9))

    return naive.every_pixel(x2, value)


def affine_sampling(naive, module, x1, x2):
    height, width = x1.shape[-2:]

    def value(n, row, column):
        theta = (module.affine.weight @ x2[n].mean(dim=(1, 2)) + module.affine.bias).view(2, 3)
        point = torch.tensor([(2 * column + 1) / width - 1, (2 * row + 1) / height - 1, 1], dtype=x1.dtype)
        right, down = theta @ point  # in [-1, 1] from border to border
        at_row = (((down + 1) * height - 1) / 2).clamp(0, height - 1)
        at_column = (((right + 1) * width - 1) / 2).clamp(0, width - 1)
        return naive.bilinear(x1, n, at_row, at_column)

    return naive.every_pixel(x1, value)


def attention_gate(naive, module, x1, x2):
    return naive.every_pixel(x1, lambda n, r, c: x1[n, :, r, c] / (1 + (-x2[n, :, r, c]).exp()))


@pytest.mark.parametrize(
    "reference", [weighted_sum, concat, predictive_filter, affine_sampling, conv3d, attention_gate]
)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_agrees_with_explicit_loops(reference, shape, naive, draw, stir, assert_same):
    aggregation = stir(AGGREGATIONS[reference.__name__](2).double())
    x1, x2 = draw(*shape), draw(*shape, seed=1)
    expected = reference(naive, aggregation, x1, x2)
    assert_same(aggregation(x1, x2), expected, [x1, x2, *aggregation.parameters()])


def test_conv3d_is_the_unpadded_depth_convolution_of_the_stack(draw, assert_same):
    ours, torchs = AGGREGATIONS["conv3d"](4).double(), nn.Conv3d(4, 4, (2, 3, 3), padding=(0, 1, 1), bias=False)
    convolution, norm, _ = ours.conv
    weight = convolution.weight.unflatten(1, (2, 4)).transpose(1, 2)
    x1, x2 = draw(2, 4, 5, 7), draw(2, 4, 5, 7, seed=1)
    stacked = functional.conv3d(torch.stack((x1, x2), 2), weight, padding=(0, 1, 1)).squeeze(2)
    expected = functional.batch_norm(stacked, None, None, norm.weight, norm.bias, training=True).relu()
    assert weight.shape == torchs.weight.shape
    assert_same(ours(x1, x2), expected, [x1, x2, convolution.weight])


def test_affine_sampling_agrees_with_grid_sample(draw, stir, assert_same):
    aggregation, x1, x2 = stir(AffineSampling(3).double()), draw(2, 3, 6, 5), draw(2, 3, 6, 5, seed=1)
    theta = aggregation.affine(x2.mean(dim=(2, 3))).view(2, 2, 3)
    grid = functional.affine_grid(theta, [2, 3, 6, 5], align_corners=False)
    expected = functional.grid_sample(x1, grid, padding_mode="border", align_corners=False)
    assert_same(aggregation(x1, x2), expected, [x1, x2, *aggregation.parameters()])


def test_affine_sampling_starts_as_the_first_input_and_predictive_filter_as_the_second(draw):
    x1, x2 = draw(2, 4, 12, 15), draw(2, 4, 12, 15, seed=1)
    torch.testing.assert_close(AffineSampling(4).double()(x1, x2), x1)
    torch.testing.assert_close(PredictiveFilter(4).double()(x1, x2), x2)


def test_affine_sampling_reads_one_pixel_to_the_right_where_told_to(draw):
    aggregation, x1 = AffineSampling(2).double(), draw(1, 2, 3, 4)
    with torch.no_grad():
        aggregation.affine.bias[2] = 2 / 4  # a pixel of four, where the map spans [-1, 1]
    shifted = aggregation(x1, x1)
    torch.testing.assert_close(shifted[..., :3], x1[..., 1:])
    torch.testing.assert_close(shifted[..., 3], x1[..., 3])  # border


@pytest.mark.parametrize("name", sorted(SYMMETRIC))
def test_symmetric_aggregations_can_swap_inputs_by_swapping_weights(name, draw, stir):
    aggregation, x1, x2 = stir(AGGREGATIONS[name](3).double()), draw(2, 3, 5, 4), draw(2, 3, 5, 4, seed=1)
    before = aggregation(x1, x2)
    with torch.no_grad():
        if name == "weighted_sum":
            aggregation.first.data, aggregation.second.data = aggregation.second.data, aggregation.first.data
        else:
            weight = aggregation.conv[0].weight
            weight.copy_(weight.roll(3, dims=1))
    torch.testing.assert_close(aggregation(x2, x1), before)


@pytest.mark.parametrize("name", sorted(AGGREGATIONS.keys() - SYMMETRIC))
def test_the_others_tell_their_inputs_apart(name, draw, stir):
    aggregation, x1, x2 = stir(AGGREGATIONS[name](3).double()), draw(2, 3, 5, 4), draw(2, 3, 5, 4, seed=1)
    assert not torch.allclose(aggregation(x1, x2), aggregation(x2, x1))
