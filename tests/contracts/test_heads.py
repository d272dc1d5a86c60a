"""What every head promises: every fixed point, and random cells of every space that ships."""

from pathlib import Path

import numpy as np
import pytest
import torch

import searchspace.space
from baselines.fixed_points import FIXED_POINTS
from nas.networks.heads import build_head, full_state
from searchspace.space import Space

CHANNELS = {"layer2": 6, "layer3": 10, "layer4": 12, "dec": 8}
GRIDS = {"layer2": (5, 7), "layer3": (3, 4), "layer4": (2, 2), "dec": (5, 7)}
LOW_GRIDS = {"low.layer2": (3, 4), "low.layer3": (2, 2), "low.layer4": (1, 1)}
SPACES = sorted(path.stem for path in Path(searchspace.space.__file__).with_name("spaces").glob("*.yaml"))
HEADS = FIXED_POINTS | {
    f"{name}, {blocks} blocks": Space.load(name, blocks=blocks).uniform(np.random.default_rng(blocks))
    for name in SPACES
    for blocks in (1, 2, 5)
}


def frame(seed, batch=1):
    generator = torch.Generator().manual_seed(seed)
    channels = {name: CHANNELS[name.removeprefix("low.")] for name in (*GRIDS, *LOW_GRIDS)}
    grids = GRIDS | LOW_GRIDS
    return {name: torch.rand(batch, channels[name], *grids[name], generator=generator) for name in grids}


def copied(state):
    return [{name: tensor.clone() for name, tensor in slot.items()} for slot in state]


def same(one, other):
    return len(one) == len(other) and all(
        a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
        for a, b in zip(one, other, strict=True)
    )


@pytest.fixture(params=HEADS.values(), ids=HEADS.keys())
def head(request):
    return build_head(request.param, CHANNELS, classes=3, seed=0).eval()


def test_what_a_head_does_not_need_may_be_absent(head):
    assert head.needs <= frame(0).keys()
    start = head.init_state(frame(0))
    needed = {name: tensor for name, tensor in frame(1).items() if name in head.needs}
    with torch.no_grad():
        (dec, state), (expected, kept) = head.step(needed, start), head.step(frame(1), start)
    assert torch.equal(dec, expected)
    assert same(state, kept)


def test_what_a_head_needs_is_needed(head):
    for name in head.needs:
        less = {other: tensor for other, tensor in frame(1).items() if other != name}
        with pytest.raises(KeyError, match=name):
            head.step(less, head.init_state(frame(0)))


@torch.no_grad()
def test_a_step_is_a_function_of_frame_and_state_and_changes_neither(head):
    state, features = full_state(head, frame(0)), frame(1)
    before = copied(state)
    (dec, after), (again, after_again) = head.step(features, state), head.step(features, state)
    assert torch.equal(dec, again)
    assert same(after, after_again)
    assert same(state, before)
    assert all(torch.equal(features[name], tensor) for name, tensor in frame(1).items())


@torch.no_grad()
def test_the_memory_grows_to_the_slots_that_the_head_states(head):
    state = head.init_state(frame(0))
    for seed in range(1, head.slots + 3):
        assert len(state) == min(seed, head.slots)
        _, state = head.step(frame(seed), state)


@pytest.mark.parametrize("batch", [1, 2])
def test_a_clip_trains_at_any_batch_and_gives_maps_of_finite_numbers(head, batch):
    head.train()
    state = head.init_state(frame(0, batch))
    dec, state = head.step(frame(1, batch), state)
    dec, _ = head.step(frame(2, batch), state)
    logits = head.classifier(dec)
    logits.sum().backward()
    assert (tuple(dec.shape), tuple(logits.shape)) == ((batch, 8, 5, 7), (batch, 3, 5, 7))
    assert logits.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in head.parameters())


def test_a_head_can_be_built_again_from_what_it_says_it_is(head):
    again = build_head(head.genotype, CHANNELS, classes=3, seed=1)
    again.load_state_dict(head.state_dict())
    assert (again.genotype, again.needs, again.slots) == (head.genotype, head.needs, head.slots)
