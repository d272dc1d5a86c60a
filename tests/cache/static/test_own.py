"""Networks of one's own: what the contract lets through unchanged, and what it refuses in plain words."""

import sys
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from cache.errors import DataError
from cache.static.encoder import Encoder
from cache.static.network import StaticNetwork, load_checkpoint, save_checkpoint, weights_fingerprint
from cache.static.own import OwnNetwork, check_own, three_by_three
from cache.static.sources import TRUSTED, open_own

IMAGES = torch.randn(2, 3, 70, 101, generator=torch.Generator().manual_seed(0))


class Plain(Encoder):
    channels = {"layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}  # noqa: RUF012
    strides = {"layer1": 4, "layer2": 8, "layer3": 16, "layer4": 32}  # noqa: RUF012

    def __init__(self):
        super().__init__()
        self.layer1 = nn.Conv2d(3, 4, 3, 4, 1)
        self.layer2, self.layer3, self.layer4 = (nn.Conv2d(width, width + 1, 3, 2, 1) for width in (4, 5, 6))

    def stage(self, layer, x):
        return self.get_submodule(layer)(x)


class Read(nn.Module):
    """A decoder that widens one layer."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.conv = layer, nn.Conv2d(Plain.channels[layer], 9, 1)

    def forward(self, encoded):
        return self.conv(encoded[self.layer]).relu()


def own(layer="layer2", stride=8):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return OwnNetwork(Plain(), Read(layer), nn.Conv2d(9, 3, 1), stride)


@pytest.fixture
def module(monkeypatch, tmp_path):
    """Make the module `mine`, whose function `network` gives what the test puts there."""
    (tmp_path / "mine.py").write_text("made = None\ndef network(pretrained):\n    return made(pretrained)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    monkeypatch.setenv(TRUSTED, "")
    import mine

    mine.made = lambda pretrained: own()
    return mine


@torch.no_grad()
def test_a_classifier_of_one_pixel_set_among_zeros_gives_the_same_logits_up_to_the_edge():
    conv, x = nn.Conv2d(9, 3, 1), torch.randn(1, 9, 5, 7)
    torch.testing.assert_close(three_by_three(conv)(x), conv(x))
    unbiased = nn.Conv2d(9, 3, 3, padding=1, bias=False)
    torch.testing.assert_close(three_by_three(unbiased)(x), unbiased(x))


@torch.no_grad()
@pytest.mark.parametrize(("layer", "stride"), [("layer1", 4), ("layer2", 8), ("layer3", 16)])
def test_logits_are_those_of_the_network_itself_on_the_grid_of_layer2(layer, stride):
    theirs = own(layer, stride)
    encoded = theirs.encoder(IMAGES)
    logits = theirs.classifier(theirs.decoder(encoded))
    size = encoded["layer2"].shape[-2:]
    if stride == 4:  # the mean of 2x2 logits, of fewer at an odd edge
        padded = functional.pad(logits, (0, logits.shape[-1] % 2, 0, logits.shape[-2] % 2), value=torch.nan)
        there = padded.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
        mean = there.nanmean(-1)
        assert mean.shape[-2:] == size
    else:
        mean = functional.interpolate(logits, size=size, mode="bilinear") if stride == 16 else logits
    torch.testing.assert_close(StaticNetwork(3, own=theirs).eval()(IMAGES), mean)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (replace(own(), stride=4), r"shape of its dec must be \(1, 9, 27, 39\).*got \(1, 9, 14, 20\)"),
        (replace(own(), stride=32), "stride 32, but it must be 4, 8 or 16"),
        (replace(own(), classifier=nn.Conv2d(9, 3, 5, padding=2)), "must be a 1x1 or 3x3 convolution"),
        (replace(own(), classifier=nn.Linear(9, 3)), "must be a 1x1 or 3x3 convolution"),
        (replace(own(), decoder=nn.Linear(3, 3)), "cannot label an image of 106x155"),
        (replace(own(), encoder=nn.Identity()), "no OwnNetwork with an Encoder, but Identity"),
        (nn.Identity(), "no OwnNetwork with an Encoder, but Identity"),
    ],
)
def test_a_network_that_breaks_the_contract_is_told_where(broken, words):
    with pytest.raises(DataError, match=words):
        check_own("mine:network", broken)


def test_strides_and_channels_of_the_encoder_must_be_what_it_publishes(monkeypatch):
    monkeypatch.setattr(Plain, "channels", {**Plain.channels, "layer3": 8})
    with pytest.raises(DataError, match=r"channels, height and width of its layers must be .*'layer3': \(8, 7, 10\)"):
        check_own("mine:network", own())
    monkeypatch.setattr(Plain, "strides", {"layer1": 2, "layer2": 4, "layer3": 8, "layer4": 16})
    with pytest.raises(DataError, match="strides of its encoder must be"):
        check_own("mine:network", own())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mine", "is no network; give hf:NAME_OR_FOLDER or package.module:function"),
        ("mine:absent", "cannot be imported .* 'absent'"),
        ("nowhere:network", "cannot be imported .* 'nowhere'"),
    ],
)
def test_a_name_that_leads_nowhere_is_named(module, name, words):
    with pytest.raises(DataError, match=words):
        open_own(name)


def test_a_file_keeps_the_weights_and_makes_the_rest_again(module, tmp_path):
    network = StaticNetwork(3, own=open_own("mine:network")).freeze()
    save_checkpoint(tmp_path / "n.pt", network, {"epoch": 1})
    asked = []
    module.made = lambda pretrained: asked.append(pretrained) or own()
    with torch.no_grad():
        next(own().encoder.parameters()).add_(1)
    loaded, facts = load_checkpoint(tmp_path / "n.pt", classes=3)
    assert (asked, facts) == ([False], {"epoch": 1})
    assert torch.equal(loaded.eval()(IMAGES), network(IMAGES))
    assert weights_fingerprint(loaded) == weights_fingerprint(network)


def test_a_file_runs_no_function_that_its_reader_has_not_named(module, monkeypatch, tmp_path):
    save_checkpoint(tmp_path / "n.pt", StaticNetwork(3, own=open_own("mine:network")), {})
    monkeypatch.setenv(TRUSTED, "other:network")
    monkeypatch.delitem(sys.modules, "mine")
    with pytest.raises(DataError, match=f"not code of dyncell; if you trust it, .* {TRUSTED}=mine:network"):
        load_checkpoint(tmp_path / "n.pt")
    assert "mine" not in sys.modules


def test_without_the_extra_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.delitem(sys.modules, "cache.static.transformers_networks", raising=False)
    with pytest.raises(DataError, match=r"an extra that is not installed: pip install 'dyncell\[transformers\]'"):
        open_own("hf:anything")
