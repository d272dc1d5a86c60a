import itertools

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from searchspace.modules.attention import product_attention
from searchspace.modules.local_correlation import local_correlation

WAYS = list(itertools.product([False, True], [False, True]))  # masked, joint
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def position_by_position(query, keys, values, window, masked=False, joint=True, present=None):
    """The definition: a softmax for each query, over what a window around it holds."""
    (slots, _, height, width), reach = keys.shape[1:], window // 2
    keys, values = (F.pad(x, [reach] * 4) for x in (keys, values))
    outside = F.pad(torch.zeros(height, width, dtype=torch.bool), [reach] * 4, value=True)
    absent = torch.zeros(slots, dtype=torch.bool) if present is None else ~present
    reads = []
    for row, column in itertools.product(range(height), range(width)):
        here = (..., slice(row, row + window), slice(column, column + window))
        logits = (query[:, None, :, row, column, None, None] * keys[here]).sum(2)  # (N, T, window, window)
        if masked:
            logits = logits.masked_fill(outside[here], float("-inf"))
        weights = logits.exp() * ~absent[:, None, None]
        total = weights.sum((1, 2, 3) if joint else (2, 3), keepdim=True)
        weights = weights / total.clamp(min=1e-300)  # absent slots have no weights
        reads.append((weights.unsqueeze(2) * values[here]).sum((1, 3, 4)))
    return torch.stack(reads, -1).unflatten(-1, (height, width))


def drawn(draw, n, slots, height, width, keys=2, values=3, **options):
    """A query, keys and values."""
    shapes = ((n, keys), (n, slots, keys), (n, slots, values))
    return [draw(*shape, height, width, seed=seed, **options) for seed, shape in enumerate(shapes)]


@settings(max_examples=30)
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 18)),
    n=st.integers(1, 2),
    present=st.none() | st.lists(st.booleans(), min_size=1, max_size=3).filter(any),
    window=st.sampled_from([1, 3, 5, 11, 21]),
    way=st.sampled_from(WAYS),
)
def test_agrees_with_a_loop_over_positions(size, n, present, window, way, draw, assert_same):
    inputs = drawn(draw, n, 2 if present is None else len(present), *size)
    there = None if present is None else torch.tensor(present)
    expected = position_by_position(*inputs, window, *way, there)
    assert_same(local_correlation(*inputs, window, *way, there), expected, inputs)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    ("n", "slots", "size", "window"),
    [pytest.param(2, 4, (21, 9), 21, id="below each other"), pytest.param(20, 1, (7, 9), 11, id="of some images")],
)
def test_agrees_with_a_loop_over_positions_where_it_takes_many_blocks(
    masked, n, slots, size, window, draw, assert_same
):
    inputs = drawn(draw, n, slots, *size, keys=1, values=1)
    expected = position_by_position(*inputs, window, masked)
    assert_same(local_correlation(*inputs, window, masked), expected, inputs)


@pytest.mark.parametrize("size", [(1, 1), (5, 9)], ids=str)
def test_a_masked_window_over_the_whole_map_is_global_attention(size, draw, assert_same):
    query, keys, values = drawn(draw, 2, 3, *size)
    present = torch.tensor([False, True, True])
    expected = product_attention(query, keys.unbind(1), values.unbind(1), scaled=False, present=present)
    actual = local_correlation(query, keys, values, 19, masked=True, present=present)
    assert_same(actual, expected, [query, keys, values])


def test_passes_gradcheck(draw):
    inputs = drawn(draw, 1, 2, 2, 3, keys=1, values=2)
    assert torch.autograd.gradcheck(lambda *inputs: local_correlation(*inputs, 3), inputs)


def test_gradients_are_found_of_what_wants_them_and_only_once(draw):
    query, keys, values = drawn(draw, 1, 2, 4, 5)
    expected = torch.autograd.grad(local_correlation(query, keys, values, 3).sum(), keys)
    (gradient,) = torch.autograd.grad(
        local_correlation(query.detach(), keys, values.detach(), 3).sum(), keys, create_graph=True
    )
    torch.testing.assert_close(gradient, *expected)
    with pytest.raises(RuntimeError, match="no autograd formula"):
        gradient.sum().backward()


@pytest.mark.parametrize(("masked", "joint"), WAYS)
@pytest.mark.parametrize("layout", [(0, 1, 2, 3, 4), (0, 3, 4, 1, 2)], ids=["channels first", "channels last"])
def test_the_same_whatever_the_memory_layout_and_bit_for_bit_the_same_again(masked, joint, layout, draw):
    query, keys, values = drawn(draw, 2, 2, 6, 7)
    expected = local_correlation(query, keys, values, 5, masked, joint)
    back = [layout.index(axis) for axis in range(5)]
    keys, values = (x.permute(layout).contiguous().permute(back) for x in (keys, values))
    assert torch.equal(local_correlation(query, keys, values, 5, masked, joint), expected)


@pytest.mark.parametrize("joint", [True, False])
def test_is_computed_in_float32_under_autocast_and_of_bfloat16(joint, draw):
    query, keys, values = drawn(draw, 1, 2, 6, 7, keys=64, dtype=torch.float32)
    query, keys = 10 * query, 10 * keys  # logits of some 800: in bfloat16 they would be off by 2
    exact = local_correlation(query, keys, values, 5, joint=joint)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(local_correlation(query, keys, values, 5, joint=joint), exact)
    half = [x.detach().bfloat16().requires_grad_() for x in (query, keys, values)]
    full = [x.detach().double().requires_grad_() for x in half]
    results = [local_correlation(*inputs, 5, joint=joint) for inputs in (half, full)]
    gradients = [torch.autograd.grad(y.sum(), x) for x, y in zip((half, full), results, strict=True)]
    for one, two in zip(*((y, *g) for y, g in zip(results, gradients, strict=True)), strict=True):
        assert one.dtype == torch.bfloat16
        torch.testing.assert_close(one.double(), two, rtol=2**-7, atol=2**-6)


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("joint", [True, False])
def test_counted_are_the_products_within_windows_and_no_others(device, joint):
    query, keys, values = (
        torch.zeros(*shape, 5, 9, device=device, requires_grad=True) for shape in ((2, 4), (2, 3, 4), (2, 3, 6))
    )
    with FlopCounterMode(display=False) as forward:
        read = local_correlation(query, keys, values, 7, joint=joint)
    with FlopCounterMode(display=False) as backward:
        read.sum().backward()
    pairs = 2 * 3 * 7**2 * 5 * 9
    assert forward.get_total_flops() == 2 * pairs * (4 + 6)
    assert backward.get_total_flops() == 2 * pairs * (3 * 4 + 2 * 6)  # logits again, and of each product two gradients
    assert read.shape == (2, 6, 5, 9)
    assert all(x.grad.shape == x.shape for x in (query, keys, values))


def test_kept_for_backward_are_the_inputs_alone(draw):
    inputs, kept = drawn(draw, 1, 2, 6, 7), []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda x: kept.append(x.untyped_storage().data_ptr()), lambda _: None
    ):
        local_correlation(*inputs, 11)
    assert set(kept) == {x.untyped_storage().data_ptr() for x in inputs}


@pytest.mark.parametrize("window", [11, 21])
def test_nothing_larger_than_the_inputs_and_a_cache_is_made(window):
    inputs = [torch.randn(1, *shape, 30, 40, requires_grad=True) for shape in ((8,), (4, 8), (4, 32))]
    with torch.profiler.profile(profile_memory=True) as profile:
        local_correlation(*inputs, window).sum().backward()
    largest = max(event.self_cpu_memory_usage for event in profile.events())
    assert largest <= 2**20


@pytest.mark.parametrize(("masked", "joint"), WAYS)
def test_it_is_exported_as_ordinary_operations(masked, joint, draw):
    class Module(torch.nn.Module):
        def forward(self, query, keys, values, present):
            return local_correlation(query, keys, values, 5, masked, joint, present)

    inputs = (*(x.detach() for x in drawn(draw, 1, 2, 6, 11)), torch.tensor([False, True]))
    exported = torch.export.export(Module(), inputs)
    assert not any("dyncell" in str(node.target) for node in exported.graph.nodes)
    torch.testing.assert_close(exported.module()(*inputs), Module()(*inputs))


@pytest.mark.parametrize("masked", [False, True])
def test_the_operator_keeps_the_rules_of_torch_library(masked, draw):
    query, keys, values = drawn(draw, 2, 2, 5, 6)
    arguments = (query.permute(0, 2, 3, 1), keys.permute(0, 3, 4, 1, 2), values.permute(0, 3, 4, 1, 2))
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(
        torch.ops.dyncell.local_correlation, (*arguments, torch.tensor([True, False]), 3, masked), test_utils=checks
    )


@needs_cuda
@pytest.mark.parametrize(("masked", "joint"), WAYS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_on_a_gpu_it_is_the_same(masked, joint, dtype, draw):
    results = []
    for device in ("cpu", "cuda"):
        inputs = [x.detach().to(device, dtype).requires_grad_() for x in drawn(draw, 2, 4, 23, 30, keys=16, values=64)]
        read = local_correlation(*inputs, 11, masked, joint)
        results.append([read, *torch.autograd.grad(read.sum(), inputs)])
    for one, two in zip(*results, strict=True):
        assert two.dtype == dtype
        torch.testing.assert_close(two.cpu(), one, rtol=2e-2, atol=2e-2 if dtype == torch.bfloat16 else 1e-4)


@needs_cuda
@pytest.mark.parametrize("window", [5, 21])
def test_on_a_gpu_it_needs_less_memory_than_global_attention(window):
    query, keys, values = (
        torch.randn(1, *shape, 128, 256, device="cuda", requires_grad=True) for shape in ((16,), (4, 16), (4, 64))
    )
    peaks = []
    for read in (
        lambda: local_correlation(query, keys, values, window),
        lambda: product_attention(query, keys.unbind(1), values.unbind(1), scaled=False),
    ):
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        torch.autograd.grad(read().sum(), (query, keys, values))
        peaks.append(torch.cuda.max_memory_allocated() - before)
    assert peaks[0] < peaks[1]
