import inspect

import pytest
import torch
from torch import nn
from torch.nn import functional

from searchspace.choices import AGGREGATIONS as RULES
from searchspace.modules.aggregations import AGGREGATIONS, AffineSampling, GatedFusion, PredictiveFilter
from searchspace.modules.attention import Attention
from searchspace.space import Space

CHOICES = Space.load("video").aggregations
TMANET = (3_392 + 3_392) + 41_216  # queries, keys, values: 1x1 and 3x3 with batch norms, to 16, 16 and 64 channels
LMANET = (9_232 + 9_232) + 36_928  # the same, linear 3x3
TDNET = (1_344 + 1_344) + 4_160 + 3 * 4_096 + 128  # the same: 1x1 twice, 1x1 twice, 1x1; a stage for each slot; norm
PARAMETERS = {  # at 64 channels, for the paper's six counted by hand
    "weighted_sum": 128,
    "concat": 8_320,
    "predictive_filter": 585,
    "affine_sampling": 390,
    "conv3d": 73_856,
    "attention_gate": 0,
    "memory_attention(slots=1)": TMANET,
    "memory_attention(slots=4)": TMANET,
    "memory_attention(slots=4, stride=2)": TMANET,
    "local_correlation(slots=1, window=11)": LMANET,
    "local_correlation(slots=4, window=5)": LMANET,
    "local_correlation(slots=4, window=11)": LMANET,
    "attention_propagation(slots=3, stride=2)": TDNET,
    "attention_propagation(phases=4, slots=3, stride=2)": TDNET + 4 * (16 * 64 + 64),
    "gated_fusion": 2 * 128 + 147_584 + 2 * 36_928 + 128,  # norms, both gates, encoders, norm
    "gated_fusion(light=True)": (64 * 8 + 16) + (8 * 128 + 128) + 128,
}
LMANET_EPSILON = 1e-3  # models/fusion.py of its published code
SHAPES = [(1, 2, 3, 1), (2, 2, 1, 1), (2, 2, 3, 4), (1, 2, 5, 4)]


def build(choice, channels):
    return AGGREGATIONS[choice.name](channels, **choice.arguments)


def aggregate(aggregation, x1, x2):
    """Aggregate two maps; an attention reads `x2` and multiples of it from a full memory."""
    if not isinstance(aggregation, Attention):
        return aggregation(x1, x2)
    places = [torch.tensor([index], device=x1.device) for index in range(aggregation.slots + 1)]
    memory = [aggregation.encode((index + 1) * x2, x1.shape[-2:], at) for index, at in enumerate(places[:-1])]
    return aggregation(x1, memory, places[-1])


def test_builders_take_exactly_the_parameters_that_the_rules_name():
    for name, builder in AGGREGATIONS.items():
        taken = inspect.signature(builder).parameters
        assert {"channels", *RULES[name]} == set(taken)
        assert all(argument.default is argument.empty for argument in taken.values()), "the rules hold the defaults"
    assert AGGREGATIONS.keys() == RULES.keys()


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_parameters_are_as_many_as_counted_by_hand(choice):
    assert sum(p.numel() for p in build(choice, 64).parameters()) == PARAMETERS[str(choice)]


@pytest.mark.parametrize("choice", CHOICES, ids=str)
@pytest.mark.parametrize("shape", [(1, 8, 1, 1), (1, 8, 3, 1), (2, 8, 7, 5), (1, 8, 12, 15)], ids=str)
def test_any_size_and_batch_trains_and_keeps_its_shape(choice, shape, draw):
    aggregation = build(choice, 8)
    x1, x2 = draw(*shape, dtype=torch.float32), draw(*shape, seed=1, dtype=torch.float32)
    y = aggregate(aggregation, x1, x2)
    y.sum().backward()
    assert y.shape == x1.shape
    assert y.isfinite().all()
    assert all(tensor.grad.isfinite().all() for tensor in (x1, x2, *aggregation.parameters()))


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_images_of_a_batch_do_not_mix_in_eval_mode(choice, draw, stir):
    aggregation = stir(build(choice, 4)).double().eval()
    x1, x2 = draw(3, 4, 7, 5), draw(3, 4, 7, 5, seed=1)
    one_by_one = [aggregate(aggregation, one, two) for one, two in zip(x1.split(1), x2.split(1), strict=True)]
    torch.testing.assert_close(aggregate(aggregation, x1, x2), torch.cat(one_by_one))


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_bfloat16_autocast_stays_close_to_float32(choice, draw, stir):
    aggregation = stir(build(choice, 16), 0.05)
    x1, x2 = draw(2, 16, 9, 7, dtype=torch.float32), draw(2, 16, 9, 7, seed=1, dtype=torch.float32)
    full = aggregate(aggregation, x1, x2)
    with torch.autocast("cpu", torch.bfloat16):
        half = aggregate(aggregation, x1, x2)
    half.float().sum().backward()
    assert (half.float() - full).abs().mean() < 0.03 * full.std()
    assert all(p.grad.isfinite().all() for p in aggregation.parameters())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_cuda_agrees_with_the_cpu(choice, draw, stir):
    aggregation = stir(build(choice, 8), 0.05)
    x1, x2 = draw(2, 8, 9, 7, dtype=torch.float32), draw(2, 8, 9, 7, seed=1, dtype=torch.float32)
    expected = aggregate(aggregation, x1, x2)
    actual = aggregate(aggregation.cuda(), x1.cuda(), x2.cuda())
    torch.testing.assert_close(actual.cpu(), expected, rtol=1e-2, atol=1e-2)


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


def linear(naive, x, layer):
    return naive.conv(x, layer.weight) + layer.bias[:, None, None]


def gated_fusion(naive, module, x1, x2):
    one, two = (
        naive.norm_relu(x1, module.norms[0], LMANET_EPSILON),
        naive.norm_relu(x2, module.norms[1], LMANET_EPSILON),
    )
    both = naive.every_pixel(one, lambda n, r, c: torch.cat((one[n, :, r, c], two[n, :, r, c])))
    total = 0
    gates = zip(module.gates.weight.chunk(2), module.gates.bias.chunk(2), strict=True)
    for x, encoder, (gate, bias) in zip((one, two), module.encoders, gates, strict=True):
        total = total + linear(naive, x, encoder) / (1 + (-naive.conv(both, gate) - bias[:, None, None]).exp())
    return naive.norm_relu(total, module.norm, LMANET_EPSILON)


def light_gated_fusion(naive, module, x1, x2):
    squeezed = naive.conv(x1, module.squeeze.weight) + naive.conv(x2, module.squeeze.weight)
    squeezed = naive.norm_relu(squeezed, module.squeeze_norm, LMANET_EPSILON)
    total = 0
    for x, gate, bias in zip((x1, x2), module.gates.weight.chunk(2), module.gates.bias.chunk(2), strict=True):
        total = total + x / (1 + (-naive.conv(squeezed, gate) - bias[:, None, None]).exp())
    return naive.norm_relu(total, module.norm, LMANET_EPSILON)


@pytest.mark.parametrize("reference", [gated_fusion, light_gated_fusion])
@pytest.mark.parametrize("shape", [(1, 2, 3, 1), (2, 2, 3, 4), (1, 9, 3, 2)], ids=str)
def test_gated_fusion_agrees_with_explicit_loops(reference, shape, naive, draw, stir, assert_same):
    aggregation = stir(GatedFusion(shape[1], light=reference is light_gated_fusion).double())
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


def test_affine_sampling_finds_its_points_in_float32_under_autocast(draw):
    x1, x2 = draw(1, 4, 90, 120).float(), draw(1, 4, 90, 120, seed=1).float()
    with torch.autocast("cpu", torch.bfloat16):
        sampled = AffineSampling(4)(x1, x2)
    torch.testing.assert_close(sampled, x1, rtol=0, atol=1e-4)  # in bfloat16 points would move by half a pixel


def test_affine_sampling_reads_one_pixel_to_the_right_where_told_to(draw):
    aggregation, x1 = AffineSampling(2).double(), draw(1, 2, 3, 4)
    with torch.no_grad():
        aggregation.affine.bias[2] = 2 / 4  # a pixel of four, where the map spans [-1, 1]
    shifted = aggregation(x1, x1)
    torch.testing.assert_close(shifted[..., :3], x1[..., 1:])
    torch.testing.assert_close(shifted[..., 3], x1[..., 3])  # border


def swapped(aggregation):
    """The aggregation with the weights of its two inputs in each other's place."""
    with torch.no_grad():
        if isinstance(aggregation, GatedFusion):
            weight, bias = aggregation.gates.weight, aggregation.gates.bias
            weight.copy_(weight.roll(len(weight) // 2, dims=0))
            bias.copy_(bias.roll(len(bias) // 2))
            if not aggregation.light:
                weight.copy_(weight.roll(weight.shape[1] // 2, dims=1))
                aggregation.norms, aggregation.encoders = aggregation.norms[::-1], aggregation.encoders[::-1]
        elif hasattr(aggregation, "conv"):
            weight = aggregation.conv[0].weight
            weight.copy_(weight.roll(weight.shape[1] // 2, dims=1))
        else:
            aggregation.first.data, aggregation.second.data = aggregation.second.data, aggregation.first.data
    return aggregation


@pytest.mark.parametrize(
    "choice", [c for c in CHOICES if c.name in {"weighted_sum", "concat", "conv3d", "gated_fusion"}], ids=str
)
def test_symmetric_aggregations_can_swap_inputs_by_swapping_weights(choice, draw, stir):
    aggregation, x1, x2 = stir(build(choice, 3).double()), draw(2, 3, 5, 4), draw(2, 3, 5, 4, seed=1)
    before = aggregation(x1, x2)
    torch.testing.assert_close(swapped(aggregation)(x2, x1), before)


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_inputs_are_told_apart(choice, draw, stir):
    aggregation, x1, x2 = stir(build(choice, 4).double()), draw(2, 4, 5, 4), draw(2, 4, 5, 4, seed=1)
    assert not torch.allclose(aggregate(aggregation, x1, x2), aggregate(aggregation, x2, x1))
