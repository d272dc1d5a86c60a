"""A later frame costs what its head reads: the encoder stops there, and nothing that is said changes by a bit."""

from pathlib import Path

import numpy as np
import pytest
import torch

import searchspace.space
from cache.static.network import FEATURES, LOW, StaticNetwork
from nas.evaluation.head_cost import multiply_adds
from nas.evaluation.network_cost import count_costs
from nas.networks.heads import build_head, unroll_dec
from nas.networks.video_network import VideoNetwork
from searchspace.choices import Choice
from searchspace.genotype import Block, Genotype
from searchspace.space import Space

SPACES = sorted(path.stem for path in Path(searchspace.space.__file__).with_name("spaces").glob("*.yaml"))
SIZE = (33, 50)
STATIC = StaticNetwork(3, auxiliary=False).eval()
CLIP = torch.randn(3, 1, 3, *SIZE, generator=torch.Generator().manual_seed(0))


def cell(*layers):
    skip = Choice("skip")
    return Genotype(tuple(Block(("past.dec", layer), (skip, skip), Choice("concat")) for layer in layers))


LEAN = [cell("past.dec"), cell("key.dec"), cell("low.layer2"), cell("low.layer3", "low.layer4"), cell("key.layer4")]
CELLS = [
    *LEAN,
    cell("low.layer4", "cur.layer2"),
    cell("past.layer4", "low.layer2"),
    cell("cur.layer2"),
    cell("cur.layer3"),
    cell("cur.layer2", "past.layer4"),
    cell("past.dec"),
] + [
    Space.load(name, blocks=blocks).uniform(np.random.default_rng(seed))
    for name in SPACES
    for blocks in (1, 3)
    for seed in range(3)
]


def network(genotype):
    return VideoNetwork(STATIC, build_head(genotype, STATIC.channels, 3, seed=0)).eval()


@torch.no_grad()
def whole(made):
    """Logits of the later frames, of which the head is shown everything."""
    first, *later = [STATIC.features(images, (*FEATURES, *LOW)) for images in CLIP]
    return [made.head.classifier(dec) for dec in unroll_dec(made.head, [first, *later])]


@pytest.mark.parametrize("genotype", CELLS, ids=lambda genotype: genotype.key)
@torch.no_grad()
def test_logits_are_those_over_the_whole_encoder_bit_for_bit(genotype):
    made = network(genotype)
    _, state = made.first(CLIP[0])
    for images, expected in zip(CLIP[1:], whole(made), strict=True):
        logits, state = made.later(images, state)
        assert torch.equal(logits, expected)


@pytest.mark.parametrize(
    "genotype", [*CELLS[:11], None], ids=lambda genotype: genotype.key if genotype else "per frame"
)
@torch.no_grad()
def test_windows_are_given_what_streaming_is_given(genotype):
    made = network(genotype)
    first, *later = STATIC.clip_features(CLIP, made.head.needs)
    assert first.keys() == {"layer2", "layer3", "layer4", "dec"}
    assert [frame.keys() for frame in later] == [made.head.needs] * 2
    for frame, images in zip([first, *later], CLIP, strict=True):
        for name, tensor in STATIC.features(images, frame).items():
            torch.testing.assert_close(frame[name], tensor)


@pytest.mark.parametrize(
    ("genotype", "blocks"),
    [
        (cell("past.dec"), 0),
        (cell("key.layer4"), 0),
        (cell("cur.layer2"), 7),
        (cell("cur.layer3"), 14),
        (cell("past.layer4"), 18),
    ],
)
def test_a_later_frame_costs_the_blocks_of_the_encoder_up_to_the_deepest_layer_read(genotype, blocks):
    made = network(genotype)
    with torch.no_grad():
        encoder = multiply_adds(lambda: STATIC.encoder.features[:blocks](CLIP[0]))
        features = STATIC.features(CLIP[0])
        state = made.head.init_state(features)
        head = multiply_adds(lambda: made.head.classifier(made.head.step(features, state)[0]))
    assert count_costs(made, SIZE)["macs_later"] == encoder + head
