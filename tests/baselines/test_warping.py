import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from baselines.warping import agree, in_frame, warp, warp_classes
from cache.datasets.shapes import LENGTH, Shapes


def random_flow(rng, count, size, reach):
    return torch.from_numpy(rng.uniform(-reach, reach, (count, 2, *size)))


def positions(flow):
    y, x = np.indices(flow.shape[-2:])
    return y + flow[:, 1].numpy(), x + flow[:, 0].numpy()


@given(height=st.integers(1, 7), width=st.integers(1, 9), reach=st.sampled_from([0.4, 2, 20]), seed=st.integers(0, 99))
def test_warps_are_those_of_scipy(height, width, reach, seed):
    rng = np.random.default_rng(seed)
    flow = random_flow(rng, 2, (height, width), reach)
    values, classes = rng.normal(size=(2, 3, height, width)), rng.integers(0, 5, (2, height, width))
    warped, moved = warp(torch.from_numpy(values), flow), warp_classes(torch.from_numpy(classes), flow)
    for n, at in enumerate(zip(*positions(flow), strict=True)):
        for channel in range(3):
            expected = map_coordinates(values[n, channel], at, order=1, mode="nearest")
            np.testing.assert_allclose(warped[n, channel], expected, atol=1e-9)
        np.testing.assert_array_equal(moved[n], map_coordinates(classes[n], at, order=0, mode="nearest"))


def test_the_flow_of_a_pixel_says_where_it_is_in_the_other_frame():
    other = torch.tensor([[[10, 11, 12], [20, 21, 22]]])
    flow = torch.zeros(1, 2, 2, 3)
    flow[0, :, 0, 0] = torch.tensor([2.0, 1.0])  # two to the right, one down
    assert warp_classes(other, flow).tolist() == [[[22, 11, 12], [20, 21, 22]]]
    assert warp(other[:, None].float(), flow)[0, 0, 0, 0].item() == pytest.approx(22)


def test_a_warp_has_gradients_where_its_values_come_from():
    values = torch.zeros(1, 1, 1, 3, requires_grad=True)
    flow = torch.tensor([[0.25, 0.0, 5.0], [0.0, 0.0, 0.0]]).view(1, 2, 1, 3)
    warp(values, flow)[..., 0].sum().backward()
    torch.testing.assert_close(values.grad.flatten(), torch.tensor([0.75, 0.25, 0.0]))


def test_a_pixel_leaves_the_frame_half_a_pixel_beyond_the_last_centre():
    right = torch.tensor([-0.4, -0.6, 0.0, 0.6])
    flow = torch.stack([right, torch.zeros(4)]).view(1, 2, 1, 4)
    assert in_frame(flow).tolist() == [[[True, True, True, False]]]
    assert in_frame(flow.flip(3)).tolist() == [[[True, True, True, True]]]
    assert in_frame(flow.flip(1)).tolist() == [[[True, False, True, False]]]  # now up and down, in a frame of one row


def test_flows_agree_where_the_way_back_returns():
    """Two pixels move by two to the right over still ground, which they cover on one side and bare on the other."""
    flow, back = torch.zeros(1, 2, 1, 8), torch.zeros(1, 2, 1, 8)
    flow[0, 0, 0, 2:4], back[0, 0, 0, 4:6] = 2, -2
    there = [True, True, True, True, False, False, True, True]  # 4 and 5 are about to be covered
    assert agree(flow, back).tolist() == [[there]]
    assert agree(back, flow).tolist() == [[there[::-1]]]  # 2 and 3 were covered before


@pytest.mark.parametrize(("error", "fine"), [(0.70, True), (0.72, False)])
def test_short_flows_may_disagree_by_half_a_squared_pixel(error, fine):
    flow = torch.zeros(1, 2, 3, 3)
    back = torch.full_like(flow, error / 2**0.5)  # so long together: squared 0.49 and 0.52; 1 % is allowed above 0.5
    assert agree(flow, back).all().item() is fine


def test_the_masks_find_what_the_clips_of_shapes_call_visible():
    shapes = Shapes()
    frames = shapes.frames("val")
    flows = torch.from_numpy(np.stack([shapes.flow(frame) for frame in frames[:LENGTH]])).permute(0, 3, 1, 2)
    found = in_frame(flows[:-1]) & agree(flows[:-1], -flows[1:])
    np.testing.assert_array_equal(found, np.stack([shapes.visible(frame) for frame in frames[: LENGTH - 1]]))
