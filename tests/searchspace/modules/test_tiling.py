from math import inf

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from searchspace.modules.tiling import TILE, tile_stacks

SIDE, REACH, IMAGES = st.integers(1, 18), st.integers(0, 6), st.integers(1, 3)
PAIRS = st.sampled_from([1, 5e3, 2e4, inf])


def numbered(*shape):
    return torch.arange(1, 1 + torch.Size(shape).numel(), dtype=torch.float64).view(shape)


@settings(max_examples=30)
@given(IMAGES, SIDE, SIDE, st.integers(1, 3), REACH, PAIRS)
def test_every_position_is_in_one_block_and_blocks_keep_to_their_size(images, height, width, slots, reach, pairs):
    x = numbered(images, height, width, 2)
    total = torch.zeros_like(x)
    for stack in tile_stacks(images, height, width, slots, reach, pairs):
        tiles = stack.queries(x)
        assert stack.rows <= TILE[0]
        assert stack.columns <= TILE[1]
        tile = stack.rows * stack.columns * (stack.rows + 2 * reach) * (stack.columns + 2 * reach) * slots
        assert tiles.shape[:2].numel() * tile <= max(pairs, tile)
        stack.add_queries(total, tiles)
    assert torch.equal(total, x)


@settings(max_examples=30)
@given(SIDE, SIDE, REACH, PAIRS)
def test_regions_lie_around_tiles(height, width, reach, pairs):
    x = numbered(1, height, width, 1, 1)
    for stack in tile_stacks(1, height, width, 1, reach, pairs):
        regions = stack.regions(x, outside=-1).view(stack.tiles, stack.rows + 2 * reach, -1)
        for tile in range(stack.tiles):
            for row in range(regions.shape[1]):
                for column in range(regions.shape[2]):
                    y, x_ = stack.top + tile * stack.rows + row - reach, stack.left + column - reach
                    inside = 0 <= y < height and 0 <= x_ < width
                    assert regions[tile, row, column] == (x[0, y, x_] if inside else -1)


@settings(max_examples=30)
@given(IMAGES, SIDE, SIDE, REACH, PAIRS)
def test_adding_regions_is_adjoint_to_reading_them(images, height, width, reach, pairs):
    x = numbered(images, height, width, 2, 3)
    total, product = torch.zeros_like(x), 0
    for stack in tile_stacks(images, height, width, 2, reach, pairs):
        regions = stack.regions(x)
        weights = numbered(*regions.shape).sin()
        product += (weights * regions).sum()
        stack.add_regions(total, weights)
    torch.testing.assert_close((total * x).sum(), product)


def test_a_position_is_far_from_a_query_whose_window_ends_before_it():
    (stack,) = tile_stacks(1, 1, 3, 1, 1, inf)
    far = stack.far(torch.device("cpu")).view(3, 3, 5)  # queries 0, 1, 2; rows and columns -1, 0, 1 and -1, ..., 3
    for query in range(3):
        for column in range(5):
            assert far[query, :, column].tolist() == [abs(column - 1 - query) > 1] * 3
