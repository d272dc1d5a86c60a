"""Strips change the order of the steps and not the function."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cache.static.mobilenet_v2 import InvertedResidual
from nas.networks import strips
from nas.networks.folding import fold_norms
from nas.networks.strips import InStrips


def block_of(stride, expansion, outputs=4):
    """A folded block with biases, so that zeros around its wide map are not what zeros around its input would give."""
    block = InvertedResidual(4, outputs, stride, expansion)
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.bias, 0.5, 1)
    return fold_norms(block)


def heights_of_wide_maps(strip, x):
    """Run a block; return the height of every map that its filter's activation saw, the whole block's among them."""
    heights, activation = [], strip._narrow[0]
    handle = activation.register_forward_hook(lambda _, inputs, __: heights.append(inputs[0].shape[2]))
    strip(x)
    handle.remove()
    return heights


@settings(deadline=None)
@given(
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    stride=st.sampled_from([1, 2]),
    expansion=st.sampled_from([1, 6]),
    outputs=st.sampled_from([4, 6]),
    rows=st.integers(1, 21),
    batch=st.integers(1, 2),
    seed=st.integers(0, 99),
)
def test_a_block_in_strips_of_any_height_is_the_block(size, stride, expansion, outputs, rows, batch, seed):
    torch.manual_seed(seed)
    block, x = block_of(stride, expansion, outputs), torch.randn(batch, 4, *size)
    for dtype, tolerance in ((torch.float64, 1e-6), (torch.float32, 1e-4)):
        block, x = block.to(dtype), x.to(dtype)
        with torch.no_grad():
            whole, found = block(x), InStrips(block).in_strips(x, rows)
        assert found.dtype == whole.dtype
        torch.testing.assert_close(found, whole, rtol=tolerance, atol=tolerance)


def test_a_block_whose_norms_are_not_folded_is_the_same_in_eval_mode():
    block, x = InvertedResidual(4, 4, 1, 6).double().eval(), torch.randn(1, 4, 9, 9).double()
    torch.testing.assert_close(InStrips(block).in_strips(x, 2), block(x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("stride", "rows"), [(1, [7, 7, 6]), (2, [4, 4, 2])])
def test_a_large_map_runs_in_strips_of_at_most_the_bytes_that_all_threads_have(monkeypatch, stride, rows, threads):
    row = 6 * 4 * 10 * 4  # bytes: channels, columns, float32
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(strips, "LARGE", 20 * row / threads)
    monkeypatch.setattr(strips, "STRIP", 8 * row / threads)
    made = InStrips(block_of(stride, 6))
    assert heights_of_wide_maps(made, torch.randn(1, 4, 20, 10)) == rows
    assert heights_of_wide_maps(made, torch.randn(1, 4, 19, 10)) == [-(-19 // stride)]  # not large
    assert heights_of_wide_maps(made, torch.randn(2, 4, 20, 10)) == [20 // stride]  # a batch
