"""Checks on replayed gradients against plain ones; all but the choice of the way needs a CUDA device."""

import logging
from functools import partial

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.optim import SGD

from nas.networks.heads import build_head, unroll
from nas.training.fit import backward, fit
from nas.training.replay import PLAIN, Replay, replay_on
from searchspace.choices import Choice
from searchspace.genotype import Block, Genotype

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

FUSION = Genotype((Block(("cur.layer2", "past.dec"), (Choice("skip"), Choice("skip")), Choice("gated_fusion")),))
SIZES = {"layer2": (32, 12, 15), "layer3": (96, 6, 8), "layer4": (320, 3, 4), "dec": (64, 12, 15)}


def head_of(genotype):
    head = build_head(genotype, {name: size[0] for name, size in SIZES.items()}, 5, seed=0)
    return head.to("cuda", memory_format=torch.channels_last)


def batches(count, size=4):
    draw = torch.Generator("cuda").manual_seed(0)
    for _ in range(count):
        clip = {name: torch.rand(4, size, *of, generator=draw, device="cuda") for name, of in SIZES.items()}
        yield clip | {"label8": torch.randint(5, (3, size, 12, 15), generator=draw, device="cuda")}


def loss_of(head, batch):
    clip = [{name: batch[name][time] for name in SIZES} for time in range(4)]
    return torch.stack([cross_entropy(*pair) for pair in zip(unroll(head, clip), batch["label8"], strict=True)]).sum()


def gradients(head, way, batch):
    head.zero_grad(set_to_none=True)
    loss = way(partial(loss_of, head), batch)
    return [loss.clone(), *(p.grad.clone() for p in head.parameters() if p.grad is not None)]


def test_elsewhere_gradients_are_made_kernel_by_kernel():
    assert replay_on(torch.device("cpu"), []) is backward


@needs_cuda
def test_replayed_gradients_and_statistics_of_a_cell_are_those_of_plain_steps(of_one_block, caplog):
    require_the_same(of_one_block, caplog)


@needs_cuda
def test_so_are_those_of_the_per_frame_network(caplog):
    require_the_same(None, caplog)


def require_the_same(genotype, caplog):
    one, other = head_of(genotype), head_of(genotype)
    replay = replay_on(torch.device("cuda"), one.parameters())
    with caplog.at_level(logging.WARNING):
        for batch in [*batches(PLAIN + 3), *batches(1, size=3), *batches(2)]:
            torch.testing.assert_close(
                gradients(one, replay, batch), gradients(other, backward, batch), rtol=1e-3, atol=1e-4
            )
    assert not caplog.records
    torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=1e-4, atol=1e-5)


@needs_cuda
def test_fit_learns_by_replay_what_it_learns_without():
    def learnt(way):
        head = head_of(FUSION)
        optimizer = SGD(head.parameters(), lr=1e-2, momentum=0.9, fused=True)
        lesson = partial(loss_of, head), lambda epoch: [*batches(5), *batches(1, size=2)], [optimizer]
        loss = fit(*lesson, epochs=range(3), clip_norm=1.0, backward=way(torch.device("cuda"), head.parameters()))
        return loss, head.state_dict()

    torch.testing.assert_close(learnt(replay_on), learnt(lambda *_: backward), rtol=1e-2, atol=1e-3)


@needs_cuda
def test_a_step_that_waits_for_the_device_is_done_kernel_by_kernel(caplog):
    weight = torch.nn.Parameter(torch.ones(3, device="cuda"))
    replay = Replay([weight])

    def waits(batch):
        return batch["x"].sum().item() * weight.sum()

    for number in range(5):
        weight.grad = None
        loss = replay(waits, {"x": torch.full((2,), float(number), device="cuda")})
        assert loss.item() == 6 * number
        assert weight.grad.tolist() == [2 * number] * 3
    [record] = caplog.records
    assert "cannot be recorded" in record.message
