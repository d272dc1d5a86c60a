import pytest
import torch
from torch.nn import functional

from searchspace.modules.pixels import bilinear, weighted_pixels


def test_weighted_pixels_agrees_with_explicit_loops(draw, assert_same):
    x, weight = draw(2, 3, 4, 5), draw(2, 6, 7)
    index = torch.randint(4 * 5, (2, 6, 7), generator=torch.Generator().manual_seed(0))
    rows = x.flatten(2)
    looped = [[sum(weight[n, b, k] * rows[n, :, index[n, b, k]] for k in range(7)) for b in range(6)] for n in range(2)]
    assert_same(weighted_pixels(x, index, weight), torch.stack([torch.stack(row) for row in looped]), [x, weight])


def test_weighted_pixels_passes_gradcheck_also_where_pixels_repeat_or_are_never_read(draw):
    index = torch.tensor([[[0, 0], [3, 0], [0, 3]]])
    assert torch.autograd.gradcheck(lambda x, w: weighted_pixels(x, index, w), (draw(1, 2, 2, 3), draw(1, 3, 2)))


def test_weighted_pixels_gives_gradients_to_what_asks_for_them(draw):
    index = torch.zeros(1, 3, 2, dtype=torch.int64)
    x, weight = draw(1, 2, 2, 3), draw(1, 3, 2)
    weighted_pixels(x, index, weight.detach()).sum().backward()
    weighted_pixels(x.detach(), index, weight).sum().backward()
    assert x.grad[0, :, 0, 0].tolist() == pytest.approx([weight.sum().item()] * 2)
    assert weight.grad.flatten().tolist() == pytest.approx([x[0, :, 0, 0].sum().item()] * 6)


def test_bfloat16_maps_are_summed_in_float32_and_returned_in_bfloat16(draw):
    x = torch.ones(1, 1, 1, 2, dtype=torch.bfloat16)
    weight = torch.full((1, 1, 512), 1 / 512)  # a bfloat16 sum would stop at 1/2: half of 1/512 is lost there
    total = weighted_pixels(x, torch.zeros(1, 1, 512, dtype=torch.int64), weight)
    assert (total.dtype, total.item()) == (torch.bfloat16, 1.0)


def test_weighted_pixels_is_exported_as_gathers_that_give_the_same(draw):
    class Module(torch.nn.Module):
        def forward(self, x, index, weight):
            return weighted_pixels(x, index, weight)

    inputs = draw(2, 3, 4, 5), torch.arange(2 * 6 * 7, dtype=torch.int32).view(2, 6, 7) % 20, draw(2, 6, 7)
    program = torch.export.export(Module(), inputs)
    assert not any("embedding_bag" in str(node.target) for node in program.graph.nodes)
    torch.testing.assert_close(program.module()(*inputs), weighted_pixels(*inputs))


def test_bilinear_agrees_with_grid_sample(draw, assert_same):
    x, points, scale = draw(2, 3, 5, 7), draw(2, 4, 6, 2, seed=1), draw(2, 4, 6, seed=2)
    y, x_ = 2 + 3 * points[..., 0], 3 + 4 * points[..., 1]  # some outside
    grid = torch.stack(((2 * x_ + 1) / 7 - 1, (2 * y + 1) / 5 - 1), -1)
    expected = functional.grid_sample(x, grid, padding_mode="zeros", align_corners=False).permute(0, 2, 3, 1)
    sampled = weighted_pixels(x, *bilinear(y, x_, (5, 7), scale))
    assert_same(sampled, expected * scale.unsqueeze(-1), [x, points, scale])


def test_on_a_pixel_all_the_weight_is_its_own():
    index, weight = bilinear(torch.tensor([2.0]), torch.tensor([1.0]), (4, 3))
    assert (index[0, 0].item(), weight.tolist()) == (2 * 3 + 1, [[1, 0, 0, 0]])


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_point_that_is_no_number_gives_nan_and_no_crash(bad, draw):
    index, weight = bilinear(torch.tensor([[bad, 0.0]]), torch.tensor([[0.0, 0.0]]), (2, 2))
    sampled = weighted_pixels(draw(1, 3, 2, 2, dtype=torch.float32), index, weight)
    assert sampled.isnan().all(-1).tolist() == [[True, False]]
