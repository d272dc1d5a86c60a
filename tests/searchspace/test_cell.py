import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from searchspace.cell import DynamicCell
from searchspace.choices import Choice
from searchspace.genotype import INPUTS, Block, Genotype
from searchspace.layers import resize
from searchspace.space import Space

PAPER = Space.load("paper")
PARAMETERS = {  # at 64 channels, facts/nas.md section 8
    "separable_conv(dilation=1, kernel=3)": 4_800,
    "separable_conv(dilation=3, kernel=3)": 4_800,
    "separable_conv(dilation=6, kernel=5)": 5_824,
    "global_pool": 4_224,
    "skip": 0,
    "deformable_conv": 52_571,
    "weighted_sum": 128,
    "concat": 8_320,
    "predictive_filter": 585,
    "affine_sampling": 390,
    "conv3d": 73_856,
    "attention_gate": 0,
    "layer2": 2_176,
    "layer3": 6_272,
    "layer4": 20_608,
    "dec": 0,
}
SEPARABLE = Choice("separable_conv", (("dilation", 1), ("kernel", 3)))


def block(first, second, aggregation="weighted_sum", operation=SEPARABLE):
    return Block((first, second), (operation, operation), Choice(aggregation))


def build(*blocks, classes=3):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return DynamicCell(Genotype(blocks), 64, classes)


def random_cell(seed, blocks=None):
    genotype = Space.load("paper", blocks).uniform(np.random.default_rng(seed))
    return build(*genotype.blocks)


def sizes(height, width):
    """Of layer2, layer3, layer4: three halvings, then one each, all rounded up."""
    halved = [(height, width)]
    for _ in range(5):
        halved.append(tuple(-(-side // 2) for side in halved[-1]))
    return halved[3:]


def frame(size=(58, 73), batch=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    layers = dict(zip(("layer2", "layer3", "layer4"), sizes(*size), strict=True))
    layers["dec"] = layers["layer2"]
    channels = {"layer2": 32, "layer3": 96, "layer4": 320, "dec": 64}
    return {name: torch.randn(batch, channels[name], *layers[name], generator=generator).relu() for name in layers}


def run(cell, frames):
    """`dec` of each later frame."""
    state, decs = cell.init_state(frames[0]), []
    for features in frames[1:]:
        dec, state = cell.step(features, state)
        decs.append(dec)
    return decs


CELLS = {
    "no past input": build(block("cur.layer2", "cur.layer3"), block("block0", "cur.layer4", "concat")),
    "no current input": build(block("past.dec", "past.layer4"), block("block0", "past.dec", "conv3d")),
    "coarsest inputs only": build(block("past.layer4", "cur.layer4", "attention_gate")),
    "everything concatenated": build(*(block(name, "past.dec") for name in INPUTS)),
    "one block": build(block("past.dec", "cur.layer2")),
    "the same tensor twice": build(block("cur.layer3", "cur.layer3", "affine_sampling"), block("block0", "block0")),
}


@given(seed=st.integers(0, 2**32), height=st.integers(1, 100), width=st.integers(1, 100), batch=st.integers(1, 2))
@settings(max_examples=25)
def test_random_cells_train_at_any_size_and_count_the_parameters_of_their_parts(seed, height, width, batch):
    cell = random_cell(seed)
    frames = [frame((height, width), batch, seed=index) for index in range(3)]
    decs = run(cell, frames)
    sum(cell.classifier(dec).square().mean() for dec in decs).backward()
    for dec in decs:
        assert dec.shape == (batch, 64, *sizes(height, width)[0])
        assert dec.isfinite().all()
    assert all(p.grad.isfinite().all() for p in cell.parameters())  # and none is None: nothing is left unused

    genotype = cell.genotype
    parts = [str(choice) for b in genotype.blocks for choice in (*b.operations, b.aggregation)]
    parts += {source.split(".")[1] for source in genotype.sources}
    reduction = 4_096 * len(genotype.loose_ends) + 128
    expected = sum(PARAMETERS[part] for part in parts) + reduction + (64 * 9 * 3 + 3)
    assert sum(p.numel() for p in cell.parameters()) == expected


@pytest.mark.parametrize(("classes", "parameters"), [(11, 6_347), (19, 10_963)])
def test_the_classifier_is_a_3x3_convolution_with_bias(classes, parameters):
    cell = build(block("past.dec", "past.dec"), classes=classes)
    assert sum(p.numel() for p in cell.classifier.parameters()) == parameters
    assert cell.classifier(torch.zeros(1, 64, 5, 7)).shape == (1, classes, 5, 7)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize(("size", "batch"), [((58, 73), 2), ((97, 33), 1), ((8, 8), 1)], ids=str)
def test_degenerate_cells_train_also_on_maps_of_one_pixel_at_batch_1(name, size, batch):
    cell = CELLS[name].train()
    decs = run(cell, [frame(size, batch, seed=index) for index in range(3)])
    assert [dec.shape for dec in decs] == [(batch, 64, *sizes(*size)[0])] * 2
    sum(dec.sum() for dec in decs).backward()
    assert all(p.grad.isfinite().all() for p in cell.adapters.parameters())


@pytest.mark.parametrize(
    ("name", "ends"), [("everything concatenated", 5), ("one block", 1), ("the same tensor twice", 1)]
)
def test_loose_ends_are_concatenated_and_reduced_even_if_there_is_one(name, ends):
    assert CELLS[name].reduce[0].weight.shape == (64, 64 * ends, 1, 1)


def test_only_layers_that_are_read_have_an_adapter_and_past_and_current_share_it():
    assert set(CELLS["no past input"].adapters) == {"layer2", "layer3", "layer4"}
    assert set(CELLS["coarsest inputs only"].adapters) == {"layer4"}
    assert set(CELLS["one block"].adapters) == {"layer2"}
    assert set(build(block("past.dec", "past.dec")).adapters) == set()


def test_a_step_is_the_graph_that_the_genotype_draws():
    skip = Choice("skip")
    cell = build(
        Block(("cur.layer2", "cur.layer4"), (skip, skip), Choice("attention_gate")),
        Block(("past.dec", "past.layer4"), (skip, SEPARABLE), Choice("weighted_sum")),
        Block(("cur.layer3", "block0"), (Choice("global_pool"), skip), Choice("concat")),
    ).eval()
    first, second = frame(seed=0), frame(seed=1)
    dec, _ = cell.step(second, cell.init_state(first))

    fine, middle = (second["layer2"].shape[-2:], second["layer3"].shape[-2:])
    adapt = cell.adapters
    gated = adapt["layer2"](second["layer2"]) * resize(adapt["layer4"](second["layer4"]), fine).sigmoid()
    summed = first["dec"] + resize(cell.blocks[1].second(adapt["layer4"](first["layer4"])), fine)
    pooled = cell.blocks[2].first(adapt["layer3"](second["layer3"]))
    assert pooled.shape[-2:] == middle
    joined = cell.blocks[2].aggregation(resize(pooled, fine), gated)
    torch.testing.assert_close(dec, cell.reduce(torch.cat((summed, joined), 1)))


def test_a_block_works_at_the_larger_size_and_loose_ends_are_brought_to_layer2():
    cell = build(block("cur.layer4", "cur.layer3", "attention_gate")).eval()
    shapes = []
    cell.blocks[0].first.register_forward_hook(lambda module, args, out: shapes.append(out.shape[-2:]))
    cell.blocks[0].aggregation.register_forward_hook(lambda module, args, out: shapes.append(out.shape[-2:]))
    dec, _ = cell.step(frame((360, 480), 1), cell.init_state(frame((360, 480), 1)))
    assert [tuple(shape) for shape in (*shapes, dec.shape[-2:])] == [(12, 15), (23, 30), (45, 60)]


def test_the_memory_starts_with_the_static_dec_and_goes_on_with_the_cells_own():
    cell, first, second = CELLS["one block"].eval(), frame(seed=0), frame(seed=1)
    state = cell.init_state(first)
    assert [{name: id(x) for name, x in slot.items()} for slot in state] == [
        {"layer4": id(first["layer4"]), "dec": id(first["dec"])}
    ]
    dec, state = cell.step(second, state)
    assert len(state) == 1
    assert state[0]["dec"] is dec
    assert state[0]["layer4"] is second["layer4"]


def test_a_step_does_not_read_the_static_dec_of_its_own_frame():
    cell, frames = CELLS["everything concatenated"].eval(), [frame(seed=index) for index in range(2)]
    expected = run(cell, frames)[0]
    del frames[1]["dec"]
    assert torch.equal(run(cell, frames)[0], expected)


def test_streaming_equals_windows_because_the_state_is_all_there_is():
    cell, frames = random_cell(seed=3).eval(), [frame(seed=index) for index in range(6)]
    with torch.no_grad():
        streamed, state = [], cell.init_state(frames[0])
        for features in frames[1:]:
            run(cell, [frame(seed=99), features])  # another clip in between leaves no trace
            dec, state = cell.step(features, state)
            streamed.append(dec)
        assert all(torch.equal(one, two) for one, two in zip(streamed, run(cell, frames), strict=True))
        resumed = ({"layer4": frames[3]["layer4"].clone(), "dec": streamed[2].clone()},)
        assert torch.equal(cell.step(frames[4], resumed)[0], streamed[3])


@pytest.mark.parametrize("seed", range(3))
def test_clips_of_a_batch_do_not_mix_in_eval_mode(seed):
    cell, clips = random_cell(seed).eval(), [frame(batch=3, seed=index) for index in range(3)]
    batched = run(cell, clips)[-1]
    for i in range(3):
        single = run(cell, [{name: x[i : i + 1] for name, x in features.items()} for features in clips])[-1]
        torch.testing.assert_close(batched[i : i + 1], single, rtol=1e-4, atol=1e-4)


def test_gradients_flow_through_the_chain_of_decs():
    cell, frames = CELLS["no current input"].train(), [frame(seed=index) for index in range(4)]
    frames[0]["dec"].requires_grad_()
    run(cell, frames)[-1].square().sum().backward()
    assert frames[0]["dec"].grad.abs().sum() > 0


@pytest.mark.parametrize("seed", range(6))
def test_shapes_can_be_worked_out_on_the_meta_device(seed):
    cell = random_cell(seed).to("meta").eval()
    frames = [{name: x.to("meta") for name, x in frame(seed=index).items()} for index in range(2)]
    assert run(cell, frames)[0].shape == frames[1]["dec"].shape


def test_equal_seeds_give_equal_cells():
    genotype = PAPER.uniform(np.random.default_rng(0))
    one, two = (build(*genotype.blocks).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("seed", range(4))
def test_bfloat16_autocast_and_channels_last_stay_close_to_plain_float32(seed):
    # In eval mode: batch statistics of two pooled values would make any difference as large as the values.
    cell, frames = random_cell(seed).eval(), [frame(seed=index) for index in range(3)]
    plain = run(cell, frames)[-1]
    cell = cell.to(memory_format=torch.channels_last)
    frames = [{name: x.to(memory_format=torch.channels_last) for name, x in features.items()} for features in frames]
    torch.testing.assert_close(run(cell, frames)[-1], plain, rtol=1e-3, atol=1e-3)
    with torch.autocast("cpu", torch.bfloat16):
        half = run(cell, frames)[-1]
        cell.classifier(half).float().square().mean().backward()
    assert (half.float() - plain).abs().mean() < 0.1 * plain.std()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in cell.parameters())
