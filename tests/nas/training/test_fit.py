import math

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import LambdaLR
from torch.utils._python_dispatch import TorchDispatchMode

from nas.networks.heads import unroll
from nas.settings.errors import NonFiniteError
from nas.training.fit import fit
from nas.training.losses import cross_entropy
from searchspace.modules.cell import DynamicCell


@pytest.fixture
def weight():
    return torch.nn.Parameter(torch.tensor([3.0, 4.0]))


def once(epoch):
    yield epoch


def test_it_finds_the_least_squares_solution():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(64, 3, generator=generator), torch.randn(64, 1, generator=generator)
    weight = torch.nn.Parameter(torch.zeros(3, 1))
    fit(
        lambda rows: (x[rows] @ weight - y[rows]).square().mean(),
        lambda epoch: [torch.arange(64)],
        [Adam([weight], lr=0.05, fused=True)],
        epochs=range(400),
    )
    torch.testing.assert_close(weight.detach(), torch.linalg.lstsq(x, y).solution, atol=1e-4, rtol=0)


def test_it_returns_the_last_epochs_mean_loss_and_tells_each_epochs(weight):
    told = []

    def after_epoch(epoch, loss):
        told.append((epoch, loss))
        return epoch < 5

    losses = {3: [1.0, 2.0], 4: [3.0], 5: [5.0, 6.0, 7.0], 6: [100.0]}
    loss = fit(
        lambda value: value + 0 * weight.sum(),
        lambda epoch: losses[epoch],
        [SGD([weight], lr=1.0, fused=True)],
        epochs=range(3, 7),
        after_epoch=after_epoch,
    )
    assert told == [(3, 1.5), (4, 3.0), (5, 6.0)]
    assert loss == 6.0


def test_without_epochs_the_loss_is_undefined(weight):
    assert math.isnan(fit(lambda _: weight.sum(), once, [SGD([weight], lr=1.0, fused=True)], epochs=range(0)))


def test_gradients_of_all_optimizers_are_shortened_together():
    one, two = torch.nn.Parameter(torch.zeros(())), torch.nn.Parameter(torch.zeros(()))
    optimizers = [SGD([one], lr=1.0, fused=True), SGD([two], lr=10.0, fused=True)]
    fit(lambda _: 3 * one + 4 * two, once, optimizers, epochs=range(1), clip_norm=1.0)
    assert (one.item(), two.item()) == pytest.approx((-0.6, -8.0), rel=1e-5)


def test_schedulers_advance_with_every_step(weight):
    optimizer = SGD([weight], lr=1.0, fused=True)
    scheduler = LambdaLR(optimizer, lambda step: 0.5**step)
    fit(lambda _: weight.sum(), lambda epoch: range(2), [optimizer], epochs=range(2), schedulers=[scheduler])
    assert weight.tolist() == pytest.approx([3 - 1.875, 4 - 1.875])  # 1 + 1/2 + 1/4 + 1/8


def test_training_in_two_stretches_is_training_in_one(weight):
    def train(parameter, *stretches):
        optimizer = Adam([parameter], lr=0.1, fused=True)
        for epochs in stretches:
            fit(lambda epoch: (parameter - epoch).square().sum(), once, [optimizer], epochs=epochs)
        return parameter.detach().clone()

    twin = torch.nn.Parameter(weight.detach().clone())
    assert torch.equal(train(weight, range(6)), train(twin, range(3), range(3, 6)))


@pytest.mark.parametrize(
    "loss_of",
    [
        pytest.param(lambda weight: (weight / 0).sum(), id="infinite loss"),
        pytest.param(lambda weight: (weight - weight.detach()).square().sum().sqrt(), id="finite loss, NaN gradient"),
    ],
)
def test_a_step_that_is_not_finite_is_refused_and_not_taken(weight, loss_of):
    with pytest.raises(NonFiniteError, match="in epoch 7"):
        fit(lambda _: loss_of(weight), once, [SGD([weight], lr=1.0, fused=True)], epochs=range(7, 8))
    assert weight.tolist() == [3.0, 4.0]


@pytest.mark.parametrize("make", [SGD, Adam])
def test_no_step_of_an_epoch_is_taken_from_one_that_is_not_finite_on(weight, make):
    twin = nn.Parameter(weight.detach().clone())
    fit(lambda _: twin.square().sum(), once, [make([twin], lr=0.1, fused=True)], epochs=range(1))
    factors = lambda epoch: [1.0, math.inf, 1.0]  # noqa: E731
    with pytest.raises(NonFiniteError):
        fit(lambda f: f * weight.square().sum(), factors, [make([weight], lr=0.1, fused=True)], epochs=range(1))
    assert torch.equal(weight, twin)


def test_an_optimizer_that_would_take_such_a_step_is_refused(weight):
    with pytest.raises(ValueError, match="fused=True"):
        fit(lambda _: weight.sum(), once, [SGD([weight], lr=1.0)], epochs=range(1))


class Waits(TorchDispatchMode):
    """Counts how often the host waits for a number of the device."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_the_host_waits_once_an_epoch_and_at_no_step(of_one_block):
    cell = DynamicCell(of_one_block, {"layer2": 32, "layer3": 96, "layer4": 320, "dec": 64}, 2)
    sizes = {"layer2": (32, 4, 4), "layer4": (320, 1, 1), "dec": (64, 4, 4)}
    clip = [{name: torch.rand(2, *size) for name, size in sizes.items()}] * 3
    labels = torch.zeros(2, 4, 4, dtype=torch.uint8)

    def loss_of(_):
        return torch.stack([cross_entropy(logits, labels) for logits in unroll(cell, clip)]).sum()

    def waits(steps):
        with Waits() as mode:
            fit(loss_of, lambda epoch: range(steps), [Adam(cell.parameters(), fused=True)], epochs=range(2))
        return mode.count

    assert waits(1) == waits(3) == 2 * 2  # is all finite, and what was the mean loss
