import pytest
import torch
from torch import nn

from searchspace.modules.depthwise import DepthwiseConv

SIZES = [(1, 1), (1, 5), (2, 3), (5, 7), (12, 15), (13, 11)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("kernel", "dilation"), [(3, 1), (3, 3), (5, 2), (5, 6), (7, 4)])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
def test_depthwise_on_subgrids_is_the_dilated_convolution(size, kernel, dilation, memory_format, draw, assert_same):
    ours = DepthwiseConv(3, kernel, dilation).double()
    x = draw(2, 3, *size)
    y = ours(x.contiguous(memory_format=memory_format))
    plain = nn.functional.conv2d(
        x, ours.weight, padding=dilation * (kernel // 2), dilation=dilation, groups=ours.in_channels
    )
    assert_same(y, plain, [x, ours.weight])


@pytest.mark.parametrize(("kernel", "dilation"), [(3, 3), (5, 6)])
def test_depthwise_is_the_same_with_and_without_gradients(kernel, dilation, draw):
    ours, x = DepthwiseConv(3, kernel, dilation).double(), draw(1, 3, 13, 11)
    with torch.no_grad():
        without = ours(x)
    torch.testing.assert_close(ours(x), without)


def test_depthwise_agrees_with_explicit_loops(naive, draw, assert_same):
    ours, x = DepthwiseConv(2, 3, 2).double(), draw(1, 2, 4, 5)
    assert_same(ours(x), naive.depthwise(x, ours.weight, dilation=2), [x, ours.weight])


def test_depthwise_is_exported_as_one_convolution_that_gives_the_same(draw):
    ours, x = DepthwiseConv(3, 5, 6).double(), draw(1, 3, 13, 11)
    program = torch.export.export(ours, (x,))
    assert [node.name for node in program.graph.nodes if node.op == "call_function"] == ["conv2d"]
    torch.testing.assert_close(program.module()(x), ours(x))


@pytest.mark.parametrize("wanted", ["x", "weight"])
def test_depthwise_gives_gradients_to_what_asks_for_them(wanted, draw):
    ours, x = DepthwiseConv(3, 3, 2).double(), draw(1, 3, 5, 4)
    ours.weight.requires_grad_(wanted == "weight")
    ours(x.requires_grad_(wanted == "x")).sum().backward()
    assert (x.grad is None) == (wanted == "weight")
    assert (ours.weight.grad is None) == (wanted == "x")


@pytest.mark.parametrize(("kernel", "dilation"), [(3, 3), (5, 6)])
def test_depthwise_under_autocast_has_the_gradients_of_the_plain_one(kernel, dilation, draw):
    ours, x = DepthwiseConv(8, kernel, dilation), draw(2, 8, 9, 7, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        y, plain = ours(x), nn.Conv2d.forward(ours, x)
    one, two = (torch.autograd.grad(out.float().square().sum(), [x, ours.weight]) for out in (y, plain))
    assert y.dtype == plain.dtype == torch.bfloat16
    for ours_grad, plain_grad in zip(one, two, strict=True):
        assert ours_grad.dtype == torch.float32
        torch.testing.assert_close(ours_grad, plain_grad, rtol=0.05, atol=0.02 * plain_grad.std().item())
