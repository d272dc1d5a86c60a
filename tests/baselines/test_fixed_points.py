"""The fixed points against networks written by hand, after the papers, with the cells' weights."""

import pytest
import torch
from torch.nn import functional

from baselines.fixed_points import FIXED_POINTS
from nas.settings.strategy_config import ControllerConfig
from nas.strategies.controller import Controller
from searchspace.modules.cell import DynamicCell
from searchspace.space import Space

CHANNELS = {"layer2": 32, "layer3": 96, "layer4": 320, "dec": 64}
VIDEO = Space.load("video")
BY_HAND = "lean"  # of no paper, and in another space
CELLS = {name: cell for name, cell in FIXED_POINTS.items() if cell is not None and name != BY_HAND}
SHARED = (2_176 + 6_272 + 20_608) + 2 * 128 + 4_224 + 6_347  # adapters, two weighted sums, reduction, classifier
CONV3X3 = 128 * 64 * 9 + 128
PARAMETERS = {  # with 64 channels and 11 classes
    "tmanet": SHARED + 2 * CONV3X3 + 48_000,
    "lmanet": SHARED + CONV3X3 + 55_392 + 221_824,
    "tdnet": SHARED + 128 + CONV3X3 + 4_224 + 23_616,  # a third sum, the pooled bin of layer 4
}


def build(genotype):
    """A cell in eval mode whose norms are no identities."""
    generator = torch.Generator().manual_seed(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        cell = DynamicCell(genotype, CHANNELS, 11).double().eval()
    with torch.no_grad():
        for name, tensor in cell.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2, generator=generator)
            elif tensor.is_floating_point():
                tensor += 0.05 * torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
    return cell


def clip(length, batch=2):
    """Of frames of 52 x 75 pixels."""
    generator = torch.Generator().manual_seed(0)
    sizes = {"layer2": (32, 7, 10), "layer3": (96, 4, 5), "layer4": (320, 2, 3), "dec": (64, 7, 10)}
    return [
        {name: torch.rand(batch, *size, generator=generator, dtype=torch.float64) for name, size in sizes.items()}
        for _ in range(length)
    ]


class Paper:
    """Layers by the names that their weights have in a cell."""

    def __init__(self, cell):
        self.weights = cell.state_dict()

    def __call__(self, name):
        return self.weights[name]

    def conv(self, name, x):
        weight = self(f"{name}.weight")
        return functional.conv2d(x, weight, self.weights.get(f"{name}.bias"), padding=weight.shape[-1] // 2)

    def norm(self, name, x, epsilon=1e-5):
        mean, variance, weight, bias = (
            self(f"{name}.{part}")[:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + epsilon).sqrt() * weight + bias

    def unit(self, name, x):
        """Convolution, norm, ReLU."""
        return self.norm(f"{name}.1", self.conv(f"{name}.0", x)).relu()

    def sum(self, block, one, two):
        """Weighted, at the larger of both sizes."""
        size = max(one.shape[-2:], two.shape[-2:])
        one, two = (functional.interpolate(x, size, mode="bilinear", align_corners=False) for x in (one, two))
        name = f"blocks.{block}.aggregation"
        return self(f"{name}.first") * one + self(f"{name}.second") * two

    def feature(self, frame):
        two, three, four = (self.unit(f"adapters.layer{i}", frame[f"layer{i}"]) for i in (2, 3, 4))
        return self.sum(1, two, self.sum(0, three, four))

    def logits(self, frames, slots):
        past, logits = [frames[0]["dec"]], []
        for t, frame in enumerate(frames[1:], 1):
            past.append(self.unit("reduce", self.dec(self.feature(frame), list(enumerate(past))[-slots:], t)))
            logits.append(self.conv("classifier", past[-1]))
        return logits


class TMANet(Paper):
    def encoder(self, name, x):
        name = f"blocks.3.aggregation.{name}"
        return self.unit(f"{name}.1", self.unit(f"{name}.0", x))

    def dec(self, x, past, t):
        keys, values = (torch.cat([self.encoder(name, y).flatten(2) for _, y in past], 2) for name in ("key", "value"))
        weights = torch.bmm(self.encoder("query", x).flatten(2).transpose(1, 2), keys).softmax(2)
        read = torch.bmm(values, weights.transpose(1, 2)).view_as(x)
        value = self.unit("blocks.2.aggregation.conv", torch.cat((x, x), 1))
        return self.unit("blocks.4.aggregation.conv", torch.cat((value, read), 1))


class LMANet(Paper):
    def read(self, x, past):
        """Attention over windows of 11 x 11, softmax over them and all slots, zeros outside the map."""
        name, (height, width) = "blocks.3.aggregation", x.shape[-2:]
        keys, values = (
            torch.stack([functional.pad(self.conv(f"{name}.{part}", y), (5, 5, 5, 5)) for _, y in past], 2)
            for part in ("key", "value")
        )
        query, read = self.conv(f"{name}.query", x), torch.zeros_like(x)
        for r in range(height):
            for s in range(width):
                window = (..., slice(r, r + 11), slice(s, s + 11))
                weights = torch.einsum("nd,ndm->nm", query[..., r, s], keys[window].flatten(2)).softmax(1)
                read[..., r, s] = torch.einsum("nm,ncm->nc", weights, values[window].flatten(2))
        return read

    def dec(self, x, past, t):
        value = self.unit("blocks.2.aggregation.conv", torch.cat((x, x), 1))
        name, both = "blocks.4.aggregation", (value, self.read(x, past))
        a, b = (self.norm(f"{name}.norms.{i}", y, 1e-3).relu() for i, y in enumerate(both))
        gate_a, gate_b = self.conv(f"{name}.gates", torch.cat((a, b), 1)).sigmoid().chunk(2, 1)
        a, b = gate_a * self.conv(f"{name}.encoders.0", a), gate_b * self.conv(f"{name}.encoders.1", b)
        return self.norm(f"{name}.norm", a + b, 1e-3).relu()


class TDNet(Paper):
    def feature(self, frame):
        two, three, four = (self.unit(f"adapters.layer{i}", frame[f"layer{i}"]) for i in (2, 3, 4))
        pooled = self.unit("blocks.0.second.conv", four.mean(dim=(2, 3), keepdim=True)).expand_as(four)
        return self.sum(2, two, self.sum(1, three, self.sum(0, four, pooled)))

    def seen(self, x, t):
        """Through sub-network t mod 4: 16 of the channels."""
        name, i = "blocks.3.aggregation.select", t % 4
        weight, bias = self(f"{name}.weight")[i, ..., None, None], self(f"{name}.bias")[i]
        return functional.conv2d(x[:, 16 * i : 16 * i + 16], weight, bias)

    def deep(self, part, x):
        name = f"blocks.3.aggregation.{part}"
        hidden = functional.leaky_relu(self.norm(f"{name}.1", self.conv(f"{name}.0", x)), 0.01)
        return self.conv(f"{name}.3", hidden)

    def dec(self, x, past, t):
        name, u = "blocks.3.aggregation", 0
        slots, now = [self.seen(y[:, :, ::2, ::2], i) for i, y in past], self.seen(x, t)
        for index, slot in enumerate(slots):
            query = self.deep("query", now if index == len(slots) - 1 else slots[index + 1])
            value = self.conv(f"{name}.value", slot) + u
            weights = torch.einsum("ndp,ndm->npm", query.flatten(2), self.deep("key", slot).flatten(2)) / 4
            read = torch.einsum("npm,ncm->ncp", weights.softmax(2), value.flatten(2))
            u = self.conv(f"{name}.stages.{3 - len(slots) + index}", read.unflatten(2, query.shape[-2:]))
        y = u + self.conv(f"{name}.value", now)
        mean, variance = y.mean(dim=(1, 2, 3), keepdim=True), y.var(dim=(1, 2, 3), keepdim=True, unbiased=False)
        y = (y - mean) / (variance + 1e-5).sqrt()
        y = y * self(f"{name}.norm.weight")[:, None, None] + self(f"{name}.norm.bias")[:, None, None]
        return self.unit("blocks.4.aggregation.conv", torch.cat((y, y), 1))


PAPERS = {
    "tmanet": (TMANet, 4),
    "lmanet": (LMANet, 4),
    "tdnet": (TDNet, 3),
    "tmanet_t1": (TMANet, 1),
    "lmanet_t1": (LMANet, 1),
}


@pytest.mark.parametrize("name", PAPERS)
@torch.no_grad()
def test_a_fixed_point_is_the_papers_network(name):
    (paper, slots), cell, frames = PAPERS[name], build(CELLS[name]), clip(7)
    state, logits = cell.init_state(frames[0]), []
    for frame in frames[1:]:
        dec, state = cell.step(frame, state)
        logits.append(cell.classifier(dec))
    assert cell.slots == slots
    torch.testing.assert_close(logits, paper(cell).logits(frames, slots))


def test_all_are_there_and_the_floor_is_no_cell():
    assert list(FIXED_POINTS) == ["static", "per_frame", "tmanet", "lmanet", "tdnet", "tmanet_t1", "lmanet_t1", "lean"]
    assert FIXED_POINTS["per_frame"] is None


@pytest.mark.parametrize("name", CELLS)
def test_a_fixed_point_has_as_many_parameters_as_its_parts(name):
    assert sum(p.numel() for p in build(CELLS[name]).parameters()) == PARAMETERS[name.removesuffix("_t1")]


@pytest.mark.parametrize("name", ["tmanet", "lmanet", "tdnet"])
def test_a_wider_encoder_costs_wider_adapters_and_no_more(name):
    wide = DynamicCell(CELLS[name], {"layer2": 512, "layer3": 1024, "layer4": 2048, "dec": 64}, 11)
    more = 64 * (512 - 32 + 1024 - 96 + 2048 - 320)
    assert sum(p.numel() for p in wide.parameters()) == PARAMETERS[name] + more


@pytest.mark.parametrize("name", CELLS)
def test_the_controller_can_sample_each_of_them(name):
    genotype = CELLS[name]
    tokens = VIDEO.tokens(genotype)
    assert VIDEO.genotype(tokens) == genotype
    controller = Controller(VIDEO.decisions, ControllerConfig(), seed=0)
    log_prob = controller.log_prob(torch.tensor([tokens])).item()
    uniform = -sum(torch.tensor(decision.choices).log().item() for decision in VIDEO.decisions)
    assert log_prob == pytest.approx(uniform, rel=0.1)  # parameters start near 0


@pytest.mark.parametrize("name", CELLS)
def test_over_a_full_memory_every_weight_of_a_fixed_point_learns(name):
    cell = build(CELLS[name]).train().to(memory_format=torch.channels_last)
    frames = clip(cell.slots + 1)
    state, loss = cell.init_state(frames[0]), 0
    for frame in frames[1:]:
        dec, state = cell.step(frame, state)
        loss = loss + cell.classifier(dec).square().mean()
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in cell.parameters())
    assert all(p.grad.any() for name, p in cell.named_parameters() if not name.endswith("bias"))
