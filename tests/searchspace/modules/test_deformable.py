import pytest
import torch
from torch.nn import functional

from searchspace.modules.deformable import DeformableConv, deformable_taps


def taps_with_loops(naive, x, offset, mask):
    def value(n, row, column):
        seen = []
        for tap in range(9):
            down, right = offset[n, row, column, tap]
            at = naive.bilinear(x, n, row + tap // 3 - 1 + down, column + tap % 3 - 1 + right)
            seen.append(mask[n, row, column, tap] * at)
        return torch.cat(seen)

    return naive.every_pixel(x, value)


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (3, 2), (5, 4)], ids=str)
@pytest.mark.parametrize("batch", [1, 2])
def test_taps_agree_with_explicit_loops(size, batch, naive, draw, assert_same):
    x, offset, mask = draw(batch, 3, *size), draw(batch, *size, 9, 2, seed=1), draw(batch, *size, 9, seed=2)
    expected = taps_with_loops(naive, x, 2 * offset, mask)  # far enough that some taps leave the map
    assert_same(deformable_taps(x, 2 * offset, mask), expected, [x, offset, mask])


def test_taps_pass_gradcheck(draw):
    inputs = (draw(1, 1, 2, 2), draw(1, 2, 2, 9, 2, seed=1), draw(1, 2, 2, 9, seed=2))
    assert torch.autograd.gradcheck(deformable_taps, inputs)


def test_without_offsets_and_with_full_masks_it_is_a_convolution(draw):
    x, weight = draw(2, 3, 5, 6), draw(4, 3, 3, 3, seed=1)
    taps = deformable_taps(x, torch.zeros(2, 5, 6, 9, 2), torch.ones(2, 5, 6, 9))
    by_tap = weight.permute(0, 2, 3, 1).reshape(4, 27, 1, 1)
    torch.testing.assert_close(functional.conv2d(taps, by_tap), functional.conv2d(x, weight, padding=1))


def test_an_offset_of_one_pixel_reads_the_neighbour_and_zero_beyond_the_edge(draw):
    x = draw(1, 1, 3, 4)
    right = torch.tensor([0.0, 1.0]).expand(1, 3, 4, 9, 2)
    centre = deformable_taps(x, right, torch.ones(1, 3, 4, 9))[:, 4]
    torch.testing.assert_close(centre[:, :, :3], x[:, 0, :, 1:])
    assert centre[:, :, 3].eq(0).all()


def test_the_operation_agrees_with_explicit_loops(naive, draw, stir, assert_same):
    operation, x = stir(DeformableConv(2).double()), draw(2, 2, 3, 4)
    shift = naive.conv(x, operation.shift.weight).permute(0, 2, 3, 1) + operation.shift.bias
    offset, mask = shift[..., :18].unflatten(-1, (9, 2)), 1 / (1 + (-shift[..., 18:]).exp())
    convolution, norm, _ = operation.conv
    expected = naive.norm_relu(naive.conv(taps_with_loops(naive, x, offset, mask), convolution.weight), norm)
    assert shift[..., :18].abs().max() > 1
    assert_same(operation(x), expected, [x, *operation.parameters()])


def test_it_starts_as_half_a_convolution_and_learns_its_offsets(draw):
    operation, x = DeformableConv(3).double(), draw(2, 3, 5, 6)
    operation.conv[1].eval()  # running statistics 0 and 1: the norm changes (almost) nothing
    weight = operation.conv[0].weight.view(3, 3, 3, 3).permute(0, 3, 1, 2)
    expected = 0.5 * functional.conv2d(x, weight, padding=1)
    torch.testing.assert_close(operation(x), expected.relu(), rtol=1e-4, atol=1e-6)
    operation(x).sum().backward()
    assert operation.shift.weight.grad.abs().amax(dim=(1, 2, 3)).gt(0).all()
