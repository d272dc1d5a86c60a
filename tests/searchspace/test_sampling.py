import pytest
import torch
from torch.nn import functional

from searchspace.sampling import bilinear, weighted_windows


def corners(shape, rows, columns, seed=0):
    """Upper left pixels, (row, column), of windows that leave a map of (rows, columns) by one pixel at most."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randint(-1, n, shape, generator=generator, dtype=torch.int32) for n in (rows, columns))


def test_weighted_windows_agrees_with_explicit_loops(draw, naive, assert_same):
    x, weight = draw(2, 3, 4, 5), draw(2, 6, 2, 3)
    row, column = corners((2, 6), 3, 3)
    looped = [
        [
            sum(
                weight[n, b, i, j] * naive.pixel(x, n, row[n, b].item() + i, column[n, b].item() + j)
                for i in range(2)
                for j in range(3)
            )
            for b in range(6)
        ]
        for n in range(2)
    ]
    expected = torch.stack([torch.stack(row) for row in looped])
    assert_same(weighted_windows(x, row, column, weight), expected, [x, weight])


def test_weighted_windows_passes_gradcheck_also_where_windows_repeat_or_pixels_are_never_read(draw):
    row, column = torch.tensor([[[0, 0, -1]], [[1, 1, 1]]], dtype=torch.int32), torch.zeros(2, 1, 3, dtype=torch.int32)

    def read(x, weight):
        return weighted_windows(x, row, column, weight)

    assert torch.autograd.gradcheck(read, (draw(2, 2, 2, 3), draw(2, 1, 3, 2, 2)))


def test_weighted_windows_gives_gradients_to_what_asks_for_them(draw):
    place = torch.zeros(1, 3, dtype=torch.int32)
    x, weight = draw(1, 2, 2, 3), draw(1, 3, 1, 1)
    weighted_windows(x, place, place, weight.detach()).sum().backward()
    weighted_windows(x.detach(), place, place, weight).sum().backward()
    assert x.grad[0, :, 0, 0].tolist() == pytest.approx([weight.sum().item()] * 2)
    assert weight.grad.flatten().tolist() == pytest.approx([x[0, :, 0, 0].sum().item()] * 3)


def test_bfloat16_maps_are_summed_in_float32_and_returned_in_bfloat16():
    x = torch.ones(1, 1, 1, 512, dtype=torch.bfloat16)
    weight = torch.full((1, 1, 1, 512), 1 / 512)  # a bfloat16 sum would stop at 1/2: half of 1/512 is lost there
    place = torch.zeros(1, 1, dtype=torch.int32)
    total = weighted_windows(x, place, place, weight)
    assert (total.dtype, total.item()) == (torch.bfloat16, 1.0)


def test_weighted_windows_is_exported_as_gathers_that_give_the_same(draw):
    class Module(torch.nn.Module):
        def forward(self, x, row, column, weight):
            return weighted_windows(x, row, column, weight)

    inputs = draw(2, 3, 4, 5), *corners((2, 6), 3, 3), draw(2, 6, 2, 3)
    program = torch.export.export(Module(), inputs)
    assert not any("embedding_bag" in str(node.target) for node in program.graph.nodes)
    torch.testing.assert_close(program.module()(*inputs), weighted_windows(*inputs))


def test_bilinear_agrees_with_grid_sample(draw, assert_same):
    x, points, scale = draw(2, 3, 5, 7), draw(2, 4, 6, 2, seed=1), draw(2, 4, 6, seed=2)
    row, column = 2 + 4 * points[..., 0], 3 + 5 * points[..., 1]  # some outside, by less and by more than a pixel
    grid = torch.stack(((2 * column + 1) / 7 - 1, (2 * row + 1) / 5 - 1), -1)
    expected = functional.grid_sample(x, grid, padding_mode="zeros", align_corners=False).permute(0, 2, 3, 1)
    assert_same(bilinear(x, row, column, scale), expected * scale.unsqueeze(-1), [x, points, scale])


def test_on_a_pixel_its_own_value_is_read_exactly(draw):
    x = draw(1, 3, 4, 3, dtype=torch.float32)
    read = bilinear(x, torch.tensor([[2.0, 3.0]]), torch.tensor([[1.0, 2.0]]))
    assert torch.equal(read[0], torch.stack((x[0, :, 2, 1], x[0, :, 3, 2])))


@pytest.mark.parametrize("far", [1e9, float("inf"), -float("inf")])
def test_far_outside_there_is_nothing(far, draw):
    x, row = draw(1, 3, 2, 2, dtype=torch.float32), torch.tensor([[far, 0.0]], requires_grad=True)
    read = bilinear(x, row, torch.tensor([[0.0, 0.0]]))
    read.sum().backward()
    assert read[0, 0].tolist() == [0, 0, 0]
    assert row.grad[0, 0] == 0


def test_a_point_that_is_no_number_gives_nan_and_no_crash(draw):
    x, row = draw(1, 3, 2, 2, dtype=torch.float32), torch.tensor([[float("nan"), 0.0]])
    assert bilinear(x, row, torch.tensor([[0.0, 0.0]])).isnan().all(-1).tolist() == [[True, False]]
