import torch
from torch import nn

from nas.networks.heads import unroll


class Adding(nn.Module):
    """Remembers the sum of `dec` so far; a later frame's `dec` is that sum times its `layer2`."""

    classifier = nn.Identity()

    def init_state(self, first):
        return first["dec"]

    def step(self, features, state):
        dec = features["layer2"] * state
        return dec, state + dec


def frame(layer2, dec):
    return {"layer2": torch.tensor([layer2]), "dec": torch.tensor([dec])}


def test_the_first_frame_starts_the_memory_and_every_later_one_is_segmented():
    clip = [frame(100.0, 1.0), frame(2.0, 100.0), frame(3.0, 100.0)]
    logits = unroll(Adding(), clip)
    assert [x.item() for x in logits] == [2.0, 9.0]  # 2 * 1, then 3 * (1 + 2)


def test_gradients_flow_through_the_memory_from_the_last_frame_to_the_first():
    clip = [frame(0.0, 1.0), frame(2.0, 0.0), frame(3.0, 0.0)]
    clip[0]["dec"].requires_grad_()
    unroll(Adding(), clip)[-1].sum().backward()
    assert clip[0]["dec"].grad.item() == 9.0  # 3 * (1 + 2)


def test_a_clip_of_one_frame_has_nothing_to_segment():
    assert unroll(Adding(), [frame(1.0, 1.0)]) == []
