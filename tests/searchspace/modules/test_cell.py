from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from searchspace.choices import Choice
from searchspace.genotype import INPUTS, Block, Genotype
from searchspace.modules.attention import Attention
from searchspace.modules.cell import DynamicCell
from searchspace.modules.layers import resize
from searchspace.space import Space

VIDEO = Space.load("video")
ATTENTIONS = tuple(choice for choice in VIDEO.aggregations if "slots" in choice.arguments)
SPACES = {
    "paper": Space.load("paper"),
    "video": VIDEO,
    "fast": replace(Space.load("fast"), inputs=(*INPUTS[:2], *INPUTS[5:])),
    "attentions": replace(VIDEO, blocks=3, inputs=INPUTS[:3], aggregations=ATTENTIONS),
}
TMANET = 3_392 + 3_392 + 41_216  # as in test_aggregations
LMANET = 9_232 + 9_232 + 36_928
TDNET = 1_344 + 1_344 + 4_160 + 128  # and 4,096 for each slot
PARAMETERS = {  # at 64 channels, for the paper's counted by hand
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
    "memory_attention(slots=1)": TMANET,
    "memory_attention(slots=4)": TMANET,
    "memory_attention(slots=4, stride=2)": TMANET,
    "memory_attention(slots=4, stride=4)": TMANET,
    "local_correlation(slots=1, window=11)": LMANET,
    "local_correlation(slots=4, window=5)": LMANET,
    "local_correlation(slots=4, window=11)": LMANET,
    "attention_propagation(slots=3, stride=2)": TDNET,
    "attention_propagation(phases=4, slots=3, stride=2)": TDNET + 4 * (16 * 64 + 64),
    "gated_fusion": 221_824,
    "gated_fusion(light=True)": 1_808,
    "layer2": 2_176,
    "layer3": 6_272,
    "layer4": 20_608,
    "low.layer2": 2_176,
    "low.layer3": 6_272,
    "low.layer4": 20_608,
    "dec": 0,
}
CHANNELS = {"layer2": 32, "layer3": 96, "layer4": 320, "dec": 64}
SEPARABLE = Choice("separable_conv", (("dilation", 1), ("kernel", 3)))


MEMORIES = {  # attentions and their parameters but the number of slots
    "memory_attention": {},
    "local_correlation": {"window": 5},
    "attention_propagation": {"stride": 2, "phases": 2},
}


def block(first, second, aggregation="weighted_sum", operation=SEPARABLE, **parameters):
    return Block((first, second), (operation, operation), Choice(aggregation, tuple(parameters.items())))


def build(*blocks, classes=3):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return DynamicCell(Genotype(blocks), CHANNELS, classes)


def random_cell(seed, space="paper"):
    return build(*SPACES[space].uniform(np.random.default_rng(seed)).blocks)


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
    halves = sizes(-(-size[0] // 2), -(-size[1] // 2))
    layers |= zip(("low.layer2", "low.layer3", "low.layer4"), halves, strict=True)
    channels = {name: CHANNELS[name.removeprefix("low.")] for name in layers}
    return {name: torch.randn(batch, channels[name], *layers[name], generator=generator).relu() for name in layers}


def clip(length, size=(58, 73), batch=2):
    return [frame(size, batch, seed=index) for index in range(length)]


def states(cell, frames):
    """`dec` of each later frame, and the memory after each frame."""
    memories, decs = [cell.init_state(frames[0])], []
    for features in frames[1:]:
        dec, state = cell.step(features, memories[-1])
        decs.append(dec)
        memories.append(state)
    return decs, memories


def run(cell, frames):
    """`dec` of each later frame."""
    return states(cell, frames)[0]


def recomputed(cell, frames):
    """`dec` of each later frame, as the definition has it: nothing is kept but features, all slots are encoded anew."""
    adapt, past = cell.adapters, [frames[0]]
    for t, features in enumerate(frames[1:], 1):

        def source(name, seen, now=features):
            when, _, layer = name.partition(".")
            if when == "low":
                return adapt[f"low_{layer}"](now[name])
            x = {"cur": now, "past": seen, "key": frames[0]}[when][layer]
            return adapt[layer](x) if layer in adapt else x

        tensors = {name: source(name, past[-1]) for name in cell.genotype.sources}
        for index, each in enumerate(cell.genotype.blocks):
            module, (first, second) = cell.blocks[index], each.inputs
            one = module.first(tensors[first])
            if isinstance(module.aggregation, Attention):
                slots = each.aggregation.arguments["slots"]
                seen = list(enumerate(past))[-slots:] if second.startswith("past.") else [(t, None)]
                seen = [(0, frames[0])] if second.startswith("key.") else seen
                maps = [source(second, slot) if slot else tensors[second] for _, slot in seen]
                memory = [
                    module.aggregation.encode(module.second(x), one.shape[-2:], torch.tensor([place]))
                    for x, (place, _) in zip(maps, seen, strict=True)
                ]
                tensors[f"block{index}"] = module.aggregation(one, memory, torch.tensor([t]))
            else:
                two = module.second(tensors[second])
                size = max(one.shape[-2:], two.shape[-2:])
                tensors[f"block{index}"] = module.aggregation(resize(one, size), resize(two, size))
        size = features["layer2"].shape[-2:]
        ends = [resize(tensors[f"block{index}"], size) for index in cell.genotype.loose_ends]
        past.append({"layer4": features["layer4"], "dec": cell.reduce(torch.cat(ends, 1).relu())})
    return [slot["dec"] for slot in past[1:]]


CELLS = {
    "no past input": build(block("cur.layer2", "cur.layer3"), block("block0", "cur.layer4", "concat")),
    "no current input": build(block("past.dec", "past.layer4"), block("block0", "past.dec", "conv3d")),
    "coarsest inputs only": build(block("past.layer4", "cur.layer4", "attention_gate")),
    "everything concatenated": build(*(block(name, "past.dec") for name in INPUTS)),
    "one block": build(block("past.dec", "cur.layer2")),
    "the same tensor twice": build(block("cur.layer3", "cur.layer3", "affine_sampling"), block("block0", "block0")),
}


@pytest.mark.parametrize("space", SPACES)
@given(seed=st.integers(0, 2**32), height=st.integers(1, 100), width=st.integers(1, 100), batch=st.integers(1, 2))
@settings(max_examples=6)
def test_random_cells_train_at_any_size_and_count_the_parameters_of_their_parts(space, seed, height, width, batch):
    cell = random_cell(seed, space)
    frames = clip(5, (height, width), batch)
    decs = run(cell, frames)
    sum(cell.classifier(dec).square().mean() for dec in decs).backward()
    for dec in decs:
        assert dec.shape == (batch, 64, *sizes(height, width)[0])
        assert dec.isfinite().all()
    assert all(p.grad.isfinite().all() for p in cell.parameters())  # and none is None: nothing is left unused

    genotype = cell.genotype
    parts = [str(choice) for b in genotype.blocks for choice in (*b.operations, b.aggregation)]
    parts += {source if source.startswith("low.") else source.split(".")[1] for source in genotype.sources}
    propagations = [b for b in genotype.blocks if b.aggregation.name == "attention_propagation"]
    stages = sum(3 if b.inputs[1].startswith("past.") else 1 for b in propagations)
    reduction = 4_096 * len(genotype.loose_ends) + 128
    expected = sum(PARAMETERS[part] for part in parts) + 4_096 * stages + reduction + (64 * 9 * 3 + 3)
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
    ("name", "ends"), [("everything concatenated", 10), ("one block", 1), ("the same tensor twice", 1)]
)
def test_loose_ends_are_concatenated_and_reduced_even_if_there_is_one(name, ends):
    assert CELLS[name].reduce[0].weight.shape == (64, 64 * ends, 1, 1)


def test_only_layers_that_are_read_have_an_adapter_and_past_and_current_share_it():
    assert set(CELLS["no past input"].adapters) == {"layer2", "layer3", "layer4"}
    assert set(CELLS["coarsest inputs only"].adapters) == {"layer4"}
    assert set(CELLS["one block"].adapters) == {"layer2"}
    assert set(build(block("past.dec", "past.dec")).adapters) == set()


def test_halved_layers_have_an_adapter_of_their_own_and_key_frames_share_that_of_whole_ones():
    assert set(build(block("low.layer4", "cur.layer4")).adapters) == {"layer4", "low_layer4"}
    assert set(build(block("key.layer4", "key.dec")).adapters) == {"layer4"}


@pytest.mark.parametrize(
    ("inputs", "needs", "remembers"),
    [
        (("past.dec", "past.dec"), set(), {"dec"}),
        (("key.dec", "key.layer4"), set(), {"dec", "key.dec", "key.layer4"}),
        (("low.layer3", "low.layer3"), {"low.layer3"}, {"dec"}),
        (("low.layer3", "cur.layer2"), {"low.layer3", "layer2"}, set()),
        (("low.layer3", "cur.layer4"), {"low.layer3", "layer2", "layer4"}, set()),
        (("low.layer2", "past.layer4"), {"low.layer2", "layer2", "layer4"}, {"layer4"}),
    ],
    ids=lambda value: "-".join(sorted(value)) or "nothing",  # a set has no order that two workers share
)
def test_whole_frames_are_needed_where_they_are_read_and_else_the_grid_is_remembered(inputs, needs, remembers):
    cell = build(block(*inputs))
    _, memories = states(cell, clip(3))
    assert cell.needs == needs
    assert [set(memory[-1]) for memory in memories] == [remembers] * 3


def test_key_inputs_are_the_first_frames_ever_after():
    cell, (first, *later) = build(block("key.dec", "key.layer4")), clip(4)
    decs = run(cell, [first, *later])
    assert all(torch.equal(dec, decs[0]) for dec in decs[1:])
    assert not torch.equal(decs[0], run(cell, [later[0], *later])[0])


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
    assert [{name: id(x) for name, x in slot.items()} for slot in state] == [{"dec": id(first["dec"])}]
    dec, state = cell.step(second, state)
    assert [{name: id(x) for name, x in slot.items()} for slot in state] == [{"dec": id(dec)}]


def test_a_step_does_not_read_the_static_dec_of_its_own_frame():
    cell, frames = CELLS["everything concatenated"].eval(), [frame(seed=index) for index in range(2)]
    expected = run(cell, frames)[0]
    del frames[1]["dec"]
    assert torch.equal(run(cell, frames)[0], expected)


@pytest.mark.parametrize("space", SPACES)
def test_streaming_equals_windows_because_the_state_is_all_there_is(space):
    cell, frames = random_cell(3, space).eval(), clip(6)
    with torch.no_grad():
        streamed, state = [], cell.init_state(frames[0])
        for features in frames[1:]:
            run(cell, [frame(seed=99), features])  # another clip in between leaves no trace
            state = tuple({name: x.clone() for name, x in slot.items()} for slot in state)
            dec, state = cell.step(features, state)
            streamed.append(dec)
        assert all(torch.equal(one, two) for one, two in zip(streamed, run(cell, frames), strict=True))


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("seed", range(2))
def test_clips_of_a_batch_do_not_mix_in_eval_mode(space, seed):
    cell, clips = random_cell(seed, space).eval(), clip(6, batch=3)
    batched = run(cell, clips)[-1]
    for i in range(3):
        single = run(cell, [{name: x[i : i + 1] for name, x in features.items()} for features in clips])[-1]
        torch.testing.assert_close(batched[i : i + 1], single, rtol=1e-4, atol=1e-4)


def test_gradients_flow_through_the_chain_of_decs():
    attentive = [build(block("cur.layer2", "past.dec", name, slots=2, **MEMORIES[name])) for name in MEMORIES]
    for cell in (CELLS["no current input"], *attentive):
        frames = clip(5)
        frames[0]["dec"].requires_grad_()
        run(cell.train(), frames)[-1].square().sum().backward()
        assert frames[0]["dec"].grad.abs().sum() > 0


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("seed", range(2))
def test_shapes_can_be_worked_out_on_the_meta_device(space, seed):
    cell = random_cell(seed, space).to("meta").eval()
    frames = [{name: x.to("meta") for name, x in features.items()} for features in clip(5)]
    assert [dec.shape for dec in run(cell, frames)] == [frames[0]["dec"].shape] * 4


@pytest.mark.parametrize("space", SPACES)
def test_equal_seeds_give_equal_cells(space):
    one, two = (random_cell(0, space).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("seed", range(2))
def test_bfloat16_autocast_and_channels_last_stay_close_to_plain_float32(space, seed):
    # In eval mode: batch statistics of two pooled values would make any difference as large as the values.
    cell, frames = random_cell(seed, space).eval(), clip(5)
    plain = run(cell, frames)[-1]
    cell = cell.to(memory_format=torch.channels_last)
    frames = [{name: x.to(memory_format=torch.channels_last) for name, x in features.items()} for features in frames]
    torch.testing.assert_close(run(cell, frames)[-1], plain, rtol=1e-3, atol=1e-3)
    with torch.autocast("cpu", torch.bfloat16):
        half = run(cell, frames)[-1]
        cell.classifier(half).float().square().mean().backward()
    assert (half.float() - plain).abs().mean() < 0.1 * plain.std()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in cell.parameters())


@given(seed=st.integers(0, 2**32))
@settings(max_examples=6)
def test_cells_of_the_papers_space_are_the_papers_bit_for_bit(seed):
    cell, frames = random_cell(seed).train(), clip(4)
    decs, memories = states(cell, frames)
    expected = recomputed(cell, frames)
    gradients = [torch.autograd.grad(run[-1].sum(), list(cell.blocks.parameters())) for run in (decs, expected)]
    assert all(torch.equal(one, two) for one, two in zip(decs, expected, strict=True))
    assert all(torch.equal(one, two) for one, two in zip(*gradients, strict=True))
    assert all(len(state) == 1 and state[0].keys() <= {"layer4", "dec"} for state in memories)


@pytest.mark.parametrize("space", ["video", "attentions"])
@given(seed=st.integers(0, 2**32), height=st.integers(1, 100), width=st.integers(1, 100))
@settings(max_examples=6)
def test_what_is_kept_of_past_frames_is_what_would_be_computed_anew(space, seed, height, width):
    cell, frames = random_cell(seed, space).eval(), clip(7, (height, width), batch=1)
    with torch.no_grad():
        torch.testing.assert_close(run(cell, frames), recomputed(cell, frames))


@given(seed=st.integers(0, 2**32))
@settings(max_examples=6)
def test_slots_of_zeros_that_are_not_present_change_nothing(seed):
    cell, frames = random_cell(seed, "attentions").eval(), clip(6)
    with torch.no_grad():
        decs, memories = states(cell, frames)
        zeros = {name: torch.zeros_like(x) for name, x in memories[-1][0].items()}
        for features, state, dec, after in zip(frames[1:], memories, decs, memories[1:], strict=False):
            missing = cell.slots - len(state)
            present = torch.arange(cell.slots) >= missing
            padded_dec, padded = cell.step(features, (zeros,) * missing + state, present)
            torch.testing.assert_close(padded_dec, dec, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(padded[-len(after) :], after, rtol=1e-4, atol=1e-4)
            assert len(padded) == cell.slots


def test_a_memory_grows_to_its_slots_and_each_attention_reads_no_more_than_its_own():
    cell = build(
        block("cur.layer2", "past.dec", "memory_attention", slots=4),
        block("cur.layer3", "past.layer4", "local_correlation", slots=2, window=3),
        block("block0", "past.dec", "attention_propagation", slots=3, stride=1),
        block("block1", "block2", "memory_attention", slots=6),
    )
    read = []
    for each in cell.blocks:
        each.aggregation.register_forward_pre_hook(lambda module, args: read.append(len(args[1])))
    _, memories = states(cell, clip(7))
    assert [len(state) for state in memories] == [1, 2, 3, 4, 4, 4, 4]
    assert read == [1, 1, 1, 1] + [2, 2, 2, 1] + [3, 2, 3, 1] + 3 * [4, 2, 3, 1]


def test_only_what_will_be_read_is_remembered():
    cell = build(
        block("cur.layer2", "past.dec", "memory_attention", slots=3),
        block("cur.layer2", "past.dec", "local_correlation", slots=1, window=3),
        block("past.layer4", "block0", "attention_propagation", slots=3, stride=2),
    )
    assert states(CELLS["no past input"], clip(3))[1] == [({},)] * 3
    *older, newest = states(cell, clip(5))[1][-1]
    assert [slot.keys() for slot in older] == [{"block0.keys", "block0.values"}] * 2
    assert newest.keys() == {"layer4", "dec", "frame"}
    assert newest["frame"].tolist() == [4]


@pytest.mark.parametrize("name", MEMORIES)
def test_an_attention_reaches_as_far_back_as_it_has_slots(name):
    attention = block("cur.layer2", "past.layer4", name, Choice("skip"), slots=3, **MEMORIES[name])
    cell, frames = build(attention).eval(), clip(6)
    for features in frames:
        features["layer4"].requires_grad_()
    run(cell, frames)[-1].square().sum().backward()
    reached = [x.grad is not None and bool(x.grad.any()) for x in (features["layer4"] for features in frames)]
    assert reached == [False, False, True, True, True, False]


@pytest.mark.parametrize("name", MEMORIES)
def test_operations_and_encoders_see_each_slot_once(name):
    cell, calls = build(block("cur.layer2", "past.dec", name, slots=4, **MEMORIES[name])), []
    for module in (cell.blocks[0].second, cell.blocks[0].aggregation.key, cell.blocks[0].aggregation.value):
        module.register_forward_hook(lambda module, args, out: calls.append(module))
    run(cell, clip(7))
    now = 1 if name == "attention_propagation" else 0  # the value of the current frame, which the read is added to
    assert len(calls) == 6 * (3 + now)


@pytest.mark.parametrize("name", MEMORIES)
def test_an_attention_to_what_is_not_remembered_has_one_slot(name):
    sizes = MEMORIES[name]
    cells = [build(block("past.dec", "cur.layer2", name, slots=slots, **sizes)) for slots in (1, 4)]
    weights = [cell.state_dict() for cell in cells]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(run(cells[0], clip(4))[i], run(cells[1], clip(4))[i]) for i in range(3))
    assert [cell.slots for cell in cells] == [1, 1]


def test_an_attention_works_at_the_size_of_its_first_input():
    cell = build(
        block("cur.layer3", "past.dec", "local_correlation", slots=2, window=3),
        block("cur.layer4", "past.dec", "memory_attention", slots=2, stride=2),
        block("cur.layer2", "past.layer4", "attention_propagation", slots=2, stride=2),
    ).eval()
    shapes = []
    for each in cell.blocks:
        each.aggregation.register_forward_hook(lambda module, args, out: shapes.append(tuple(out.shape[-2:])))
    older, _ = states(cell, clip(3, (360, 480), batch=1))[1][1]
    assert shapes[:3] == [(23, 30), (12, 15), (45, 60)]
    keys = {name: tuple(x.shape) for name, x in older.items() if name.endswith("keys")}
    assert keys == {"block0.keys": (1, 16, 23, 30), "block1.keys": (1, 16, 23, 30), "block2.keys": (1, 16, 6, 8)}
