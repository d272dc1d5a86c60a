import pytest
import torch
from torch import nn

from baselines.per_frame import PerFrame
from cache.static.decoder import Decoder
from nas.evaluation.head_cost import complexity
from searchspace.genotype import Block, Choice, Genotype
from searchspace.modules.cell import DynamicCell
from searchspace.space import Space

C, CLASSES = 64, 11
SIZES = {"layer2": (32, 23, 30), "layer3": (96, 12, 15), "layer4": (320, 6, 8), "dec": (C, 23, 30)}
AT_8, AT_16, AT_32 = 23 * 30, 12 * 15, 6 * 8  # pixels at each stride
CHANNELS = {name: size[0] for name, size in SIZES.items()}
DECODER = Decoder(CHANNELS, C)
CLASSIFIER = 9 * C * CLASSES


def test_the_per_frame_network_costs_its_classifier_and_the_static_decoder():
    counted = complexity(PerFrame(CHANNELS, CLASSES), SIZES, nn.Identity())
    assert counted == {"parameters": CLASSIFIER + CLASSES, "macs": AT_8 * CLASSIFIER, "state_bytes": 0}
    # The published decoder at 360x480 and 19 classes: 1.22 GMAC, with the adapter of layer1 that ours leaves out.
    full = {"layer2": (32, 45, 60), "layer3": (96, 23, 30), "layer4": (320, 12, 15), "dec": (C, 45, 60)}
    dead_adapter = 24 * C * 90 * 120
    assert complexity(PerFrame(CHANNELS, 19), full, DECODER)["macs"] + dead_adapter == pytest.approx(1.22e9, rel=0.004)
    counted = complexity(PerFrame(CHANNELS, CLASSES), full, DECODER)
    blocks, adapters, merge = 3 * 329_728, 2_176 + 6_272 + 20_608, 8_320
    assert counted["parameters"] == blocks + adapters + merge + CLASSIFIER + CLASSES


def test_a_cell_costs_what_a_count_by_hand_says():
    separable, pool = Choice("separable_conv", (("kernel", 5), ("dilation", 6))), Choice("global_pool")
    blocks = (
        Block(("past.dec", "cur.layer3"), (separable, pool), Choice("concat")),
        Block(("past.layer4", "cur.layer4"), (Choice("skip"), Choice("skip")), Choice("conv3d")),
    )
    norms = 2 * C * 7  # adapters of two layers, two operations, two aggregations and the reduction of two loose ends
    weights = {
        "adapter of layer3": 96 * C,
        "adapter of layer4": 320 * C,
        "depthwise": 25 * C,
        "pointwise": C * C,
        "pool": C * C,
        "concat": 2 * C * C,
        "conv3d": 2 * 9 * C * C,
        "reduction": 2 * C * C,
        "classifier": CLASSIFIER,
    }
    pixels = {
        "adapter of layer3": AT_16,
        "adapter of layer4": 2 * AT_32,
        "conv3d": AT_32,
        "pool": 1,
    }
    counted = complexity(DynamicCell(Genotype(blocks), CHANNELS, CLASSES), SIZES, DECODER)
    assert counted["parameters"] == sum(weights.values()) + norms + CLASSES
    assert counted["macs"] == sum(pixels.get(name, AT_8) * weight for name, weight in weights.items())
    assert counted["state_bytes"] == 4 * (320 * AT_32 + C * AT_8)


ATTENTIONS = {
    "memory_attention": {"slots": 4, "stride": 2},
    "local_correlation": {"slots": 4, "window": 11},
    "attention_propagation": {"slots": 3, "stride": 2},
}


@pytest.mark.parametrize("name", ATTENTIONS)
def test_an_attention_costs_its_encoders_and_the_products_over_a_full_memory(name):
    d, keys_at = 16, 12 * 15  # key channels; positions of a slot after a stride of 2
    attention = Choice(name, tuple(ATTENTIONS[name].items()))
    skip = Choice("skip")
    cell = DynamicCell(Genotype((Block(("cur.layer2", "past.dec"), (skip, skip), attention),)), CHANNELS, CLASSES)
    kept = {"memory_attention": d + C, "local_correlation": d + C, "attention_propagation": 2 * d + C}[name]
    products = {
        "memory_attention": AT_8 * 4 * keys_at * (d + C),
        "local_correlation": AT_8 * 4 * 121 * (d + C),
        "attention_propagation": (2 * keys_at**2 + AT_8 * keys_at) * (d + C) + C * C * (2 * keys_at + AT_8),
    }[name]
    stacks = {  # encoders of the query side and of a slot
        "memory_attention": (C * d + 9 * d * d, C * d + 9 * d * d + C * C + 9 * C * C),
        "local_correlation": (9 * C * d, 9 * C * d + 9 * C * C),
        "attention_propagation": (C * d + d * d + C * C, 2 * (C * d + d * d) + C * C),
    }[name]
    slot_at = AT_8 if name == "local_correlation" else keys_at
    rest = AT_8 * (32 * C + C * C + CLASSIFIER)  # the adapter, the reduction and the classifier
    counted = complexity(cell, SIZES, DECODER)
    assert counted["macs"] == AT_8 * stacks[0] + slot_at * stacks[1] + products + rest
    slots = ATTENTIONS[name]["slots"]
    assert counted["state_bytes"] == 4 * ((slots - 1) * kept * slot_at + C * AT_8) + 8  # and the frame's place


@pytest.mark.parametrize("aggregation", Space.load("paper").aggregations, ids=str)
@pytest.mark.parametrize("operation", Space.load("paper").operations, ids=str)
def test_every_operation_and_aggregation_can_be_counted(operation, aggregation):
    block = Block(("past.dec", "cur.layer2"), (operation, operation), aggregation)
    cell = DynamicCell(Genotype((block,)), CHANNELS, CLASSES)
    assert complexity(cell, SIZES, DECODER)["macs"] > AT_8 * (32 * C + C * C + CLASSIFIER) - 1


def test_counting_leaves_the_head_as_it_was():
    head = DynamicCell(
        Genotype((Block(("past.dec",) * 2, (Choice("skip"),) * 2, Choice("concat")),)), CHANNELS, CLASSES
    )
    before = {name: tensor.clone() for name, tensor in head.state_dict().items()}
    complexity(head, SIZES, DECODER)
    assert head.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in head.state_dict().items())
