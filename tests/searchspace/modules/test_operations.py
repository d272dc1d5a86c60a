import inspect

import pytest
import torch

from searchspace.choices import OPERATIONS as RULES
from searchspace.modules.operations import OPERATIONS, GlobalPool, SeparableConv
from searchspace.space import Space

PAPER = {  # parameters at 64 channels, counted by hand
    "separable_conv(dilation=1, kernel=3)": 4_800,
    "global_pool": 4_224,
    "separable_conv(dilation=3, kernel=3)": 4_800,
    "separable_conv(dilation=6, kernel=5)": 5_824,
    "skip": 0,
    "deformable_conv": 52_571,
}
CHOICES = [pytest.param(choice, id=str(choice)) for choice in Space.load("paper").operations]


def test_builders_take_exactly_the_parameters_that_the_rules_name():
    for name, builder in OPERATIONS.items():
        assert ["channels", *RULES[name]] == list(inspect.signature(builder).parameters)
    assert OPERATIONS.keys() == RULES.keys()


@pytest.mark.parametrize("choice", CHOICES)
def test_parameters_are_as_many_as_the_facts_say(choice):
    operation = OPERATIONS[choice.name](64, **choice.arguments)
    assert sum(p.numel() for p in operation.parameters()) == PAPER[str(choice)]


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("shape", [(1, 8, 1, 1), (1, 8, 3, 1), (2, 8, 7, 5), (1, 8, 12, 15)], ids=str)
def test_any_size_and_batch_trains_and_keeps_its_shape(choice, shape, draw):
    operation, x = OPERATIONS[choice.name](8, **choice.arguments), draw(*shape, dtype=torch.float32)
    y = operation(x)
    y.sum().backward()
    assert y.shape == x.shape
    assert y.isfinite().all()
    assert x.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in operation.parameters())


@pytest.mark.parametrize("choice", CHOICES)
def test_images_of_a_batch_do_not_mix_in_eval_mode(choice, draw, stir):
    operation = stir(OPERATIONS[choice.name](4, **choice.arguments)).double().eval()
    x = draw(3, 4, 7, 5)
    torch.testing.assert_close(operation(x), torch.cat([operation(image) for image in x.split(1)]))


@pytest.mark.parametrize("choice", CHOICES)
def test_bfloat16_autocast_stays_close_to_float32(choice, draw, stir):
    operation, x = stir(OPERATIONS[choice.name](16, **choice.arguments), 0.05), draw(2, 16, 9, 7, dtype=torch.float32)
    full = operation(x)
    with torch.autocast("cpu", torch.bfloat16):
        half = operation(x)
    half.float().sum().backward()
    assert (half.float() - full).abs().mean() < 0.03 * full.std()
    assert all(p.grad.isfinite().all() for p in operation.parameters())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("choice", CHOICES)
def test_cuda_agrees_with_the_cpu(choice, draw, stir):
    operation = stir(OPERATIONS[choice.name](8, **choice.arguments), 0.05)
    x = draw(2, 8, 9, 7, dtype=torch.float32)
    expected = operation(x)
    torch.testing.assert_close(operation.cuda()(x.cuda()).cpu(), expected, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(("kernel", "dilation"), [(3, 1), (3, 3), (5, 6)])
@pytest.mark.parametrize("shape", [(1, 2, 3, 4), (2, 2, 5, 7)], ids=str)
def test_separable_conv_agrees_with_explicit_loops(kernel, dilation, shape, naive, draw, stir, assert_same):
    operation, x = stir(SeparableConv(2, kernel, dilation).double()), draw(*shape)
    depthwise, (pointwise, norm, _) = operation
    expected = naive.norm_relu(naive.conv(naive.depthwise(x, depthwise.weight, dilation), pointwise.weight), norm)
    assert_same(operation(x), expected, [x, *operation.parameters()])


def test_global_pool_agrees_with_explicit_loops(naive, draw, stir, assert_same):
    operation, x = stir(GlobalPool(3).double()), draw(4, 3, 2, 5)
    pooled = torch.stack([sum(image[:, r, c] for r in range(2) for c in range(5)) / 10 for image in x])
    pointwise, norm, _ = operation.conv
    expected = naive.norm_relu(naive.conv(pooled[:, :, None, None], pointwise.weight), norm)
    assert_same(operation(x), naive.every_pixel(x, lambda n, r, c: expected[n, :, 0, 0]), [x, *operation.parameters()])


def test_global_pool_of_one_image_trains_with_the_running_statistics(draw):
    operation, x = GlobalPool(3), draw(1, 3, 4, 5, dtype=torch.float32)
    trained = operation.train()(x)
    torch.testing.assert_close(trained, operation.eval()(x))


def test_skip_is_the_input_itself(draw):
    x = draw(1, 4, 3, 3)
    assert OPERATIONS["skip"](4)(x) is x
