import subprocess
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from searchspace.choices import Choice
from searchspace.errors import SpaceError
from searchspace.genotype import INPUTS, Block, Genotype
from searchspace.space import Decision, Space

PAPER = Space.load("paper")
VIDEO = Space.load("video")
FAST = Space.load("fast")


OF_BEFORE = ("past.layer4", "past.dec", "cur.layer2", "cur.layer3", "cur.layer4")  # the paper's


@pytest.mark.parametrize(("blocks", "size"), [(4, 6_143_750_465_126_400), (5, 107_491_058_137_851_494_400)])
def test_the_papers_space_has_the_papers_size(blocks, size):
    assert Space.load("paper", blocks=blocks).size == size


def test_the_papers_space_is_the_papers():
    assert (PAPER.name, PAPER.blocks, PAPER.inputs) == ("paper", 5, OF_BEFORE)
    assert PAPER.vocabulary("operation") == [
        "separable_conv(dilation=1, kernel=3)",
        "global_pool",
        "separable_conv(dilation=3, kernel=3)",
        "separable_conv(dilation=6, kernel=5)",
        "skip",
        "deformable_conv",
    ]
    assert PAPER.vocabulary("aggregation") == [
        "weighted_sum",
        "concat",
        "predictive_filter",
        "affine_sampling",
        "conv3d",
        "attention_gate",
    ]
    assert PAPER.vocabulary("input") == [*OF_BEFORE, "block0", "block1", "block2", "block3"]


def test_the_fast_space_is_the_video_space_with_inputs_and_keys_that_make_a_frame_cheap():
    assert FAST.inputs == INPUTS == (*VIDEO.inputs, *INPUTS[5:])
    *others, sparse = FAST.aggregations
    assert str(sparse) == "memory_attention(slots=4, stride=4)"
    assert replace(FAST, name="video", inputs=VIDEO.inputs, aggregations=tuple(others)) == VIDEO


def test_spaces_say_how_often_their_cells_want_a_key_frame():
    assert {name: Space.load(name).refresh for name in ("paper", "video", "printed", "fast")} == {
        "paper": 0, "video": 10, "printed": 10, "fast": 10
    }  # fmt: skip


def test_the_video_space_is_the_papers_and_what_reads_a_memory():
    assert (VIDEO.name, VIDEO.blocks, VIDEO.inputs) == ("video", 5, OF_BEFORE)
    assert VIDEO.operations == PAPER.operations
    assert VIDEO.aggregations[:6] == PAPER.aggregations
    assert VIDEO.vocabulary("aggregation")[6:] == [
        "memory_attention(slots=1)",
        "memory_attention(slots=4)",
        "memory_attention(slots=4, stride=2)",
        "local_correlation(slots=1, window=11)",
        "local_correlation(slots=4, window=5)",
        "local_correlation(slots=4, window=11)",
        "attention_propagation(phases=4, slots=3, stride=2)",
        "attention_propagation(slots=3, stride=2)",
        "gated_fusion",
        "gated_fusion(light=True)",
    ]
    assert VIDEO.size == (5 * 6 * 7 * 8 * 9) ** 2 * 6**10 * 16**5


def test_decisions_stand_in_the_papers_order():
    assert Space.load("paper", blocks=2).decisions == tuple(
        Decision(kind, block, choices)
        for block, inputs in ((0, 5), (1, 6))
        for kind, choices in (("input", inputs),) * 2 + (("operation", 6),) * 2 + (("aggregation", 6),)
    )


def test_tokens_mean_what_the_lists_say():
    space = Space.load("paper", blocks=2)
    genotype = space.genotype((1, 2, 4, 5, 1, 5, 0, 0, 1, 3))
    conv = Choice("separable_conv", (("kernel", 3), ("dilation", 1)))
    first = Block(("past.dec", "cur.layer2"), (Choice("skip"), Choice("deformable_conv")), Choice("concat"))
    second = Block(("block0", "past.layer4"), (conv, Choice("global_pool")), Choice("affine_sampling"))
    assert genotype == Genotype((first, second))
    assert space.tokens(genotype) == (1, 2, 4, 5, 1, 5, 0, 0, 1, 3)


@settings(deadline=None)
@given(st.sampled_from((PAPER, VIDEO)), st.data())
def test_tokens_and_back_are_the_same_tokens(space, data):
    tokens = data.draw(st.tuples(*(st.integers(0, decision.choices - 1) for decision in space.decisions)))
    assert space.tokens(space.genotype(tokens)) == tokens


def test_a_genotype_of_another_space_has_no_tokens():
    small = Space("small", 1, ("past.dec",), (Choice("skip"),), (Choice("concat"),))
    inside = Block(("past.dec", "past.dec"), (Choice("skip"), Choice("skip")), Choice("concat"))
    outside = Block(("past.dec", "cur.layer2"), (Choice("skip"), Choice("skip")), Choice("concat"))
    assert small.tokens(Genotype((inside,))) == (0, 0, 0, 0, 0)
    with pytest.raises(SpaceError, match=r"block 0: cur\.layer2 is not in space small, which has past.dec"):
        small.tokens(Genotype((outside,)))
    with pytest.raises(SpaceError, match="space small has cells of 1 blocks, but this has 2"):
        small.tokens(Genotype((inside, inside)))


@pytest.mark.parametrize("tokens", [(), (0,) * 24, (0,) * 26, (5,) + (0,) * 24, (-1,) + (0,) * 24])
def test_tokens_that_describe_no_cell_are_refused(tokens):
    with pytest.raises(ValueError, match="tokens must be 25 numbers below"):
        PAPER.genotype(tokens)


def test_uniform_draws_every_token_evenly_and_repeats_with_its_seed():
    space = Space.load("paper", blocks=2)
    draws = [space.tokens(space.uniform(rng)) for rng in [np.random.default_rng(0)] for _ in range(3000)]
    assert draws[:5] == [space.tokens(space.uniform(rng)) for rng in [np.random.default_rng(0)] for _ in range(5)]
    for decision, column in zip(space.decisions, zip(*draws, strict=True), strict=True):
        counts = Counter(column)
        assert set(counts) == set(range(decision.choices))
        expected = 3000 / decision.choices
        assert all(abs(count - expected) < 5 * expected**0.5 for count in counts.values())


def write(folder, **changes):
    """A good space file with the `changes`, as YAML text a value; None removes a key."""
    good = {"blocks": "3", "inputs": "[past.dec, cur.layer2]", "operations": "[skip]", "aggregations": "[concat]"}
    path = folder / "mine.yaml"
    path.write_text("".join(f"{key}: {value}\n" for key, value in (good | changes).items() if value is not None))
    return path


def test_a_users_space_loads_from_its_file(tmp_path):
    space = Space.load(str(write(tmp_path, operations="[skip, separable_conv: {kernel: 7, dilation: 2}]")))
    assert (space.name, space.blocks, space.inputs) == ("mine", 3, ("past.dec", "cur.layer2"))
    assert space.operations == (Choice("skip"), Choice("separable_conv", (("kernel", 7), ("dilation", 2))))
    assert space.size == (2 * 2 * 2 * 2) * (3 * 3 * 2 * 2) * (4 * 4 * 2 * 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blocks": "0"}, "blocks must be a whole number from 1 to 10, but is 0"),
        ({"blocks": "true"}, "blocks must be a whole number from 1 to 10, but is True"),
        ({"blocks": "[3]"}, "blocks must be a whole number"),
        (
            {"blocks": None},
            "the keys blocks, .*, and may have refresh, but has inputs, operations, agg",
        ),
        ({"block": "3"}, "the keys .*, block$"),
        ({"inputs": "past.dec"}, "inputs must be a list, but is 'past.dec'"),
        ({"inputs": "[past.dec, future.dec]"}, "inputs: unknown input 'future.dec'; known are past.layer4, past.dec"),
        ({"inputs": "[[past.dec]]"}, "inputs: unknown input"),
        ({"operations": "[]"}, "operations must be a list of one or more different choices"),
        ({"operations": "[skip, skip]"}, "operations must be a list of one or more different choices"),
        ({"operations": "[3]"}, "operations: a choice must be a name or"),
        ({"refresh": "1"}, "refresh must be 0 or a whole number of frames from 2, but is 1$"),
        ({"refresh": "-10"}, "refresh must be 0 or a whole number of frames from 2, but is -10$"),
        ({"refresh": "ten"}, "refresh must be 0 or a whole number of frames from 2, but is 'ten'$"),
        ({"operations": "[conv9]"}, "unknown operation 'conv9'; known are separable_conv, global_pool, skip"),
        ({"operations": "[separable_conv]"}, "operation separable_conv takes kernel, dilation, but got none"),
        (
            {"operations": "[separable_conv: {kernel: 4, dilation: 1}]"},
            "kernel must be one of 1, 3, 5, ..., 15, but is 4",
        ),
        (
            {"aggregations": "[local_correlation: {slots: 4, window: 10}]"},
            "aggregation local_correlation: window must be one of 1, 3, 5, ..., 63, but is 10$",
        ),
        (
            {"aggregations": "[local_correlation: {slots: 17, window: 11}]"},
            "aggregation local_correlation: slots must be one of 1, 2, 3, ..., 16, but is 17$",
        ),
        ({"aggregations": "[memory_attention]"}, r"memory_attention takes slots, keys \(16\), .*, but got none$"),
        (
            {"aggregations": "[memory_attention: {slots: 2, scaled: maybe}]"},
            "aggregation memory_attention: scaled must be one of False, True, but is 'maybe'$",
        ),
        (
            {"aggregations": "[memory_attention: {slots: 4}, memory_attention: {slots: 4, keys: 16}]"},
            "aggregations must be a list of one or more different choices",
        ),
        ({"aggregations": "[]"}, "aggregations must be a list of one or more different choices"),
        ({"aggregations": "[skip]"}, "unknown aggregation 'skip'; known are weighted_sum"),
        ({"aggregations": "[concat"}, "not a YAML file"),
        ({"aggregations": "[" * 100_000}, "not a YAML file .*neither aliases nor more than 10 levels"),
        ({"aggregations": "[&a concat, *a]"}, "not a YAML file .*neither aliases nor more than 10 levels"),
        ({"aggregations": "[!!timestamp x]"}, "not a YAML file"),
        ({"aggregations": "[!!int '']"}, "not a YAML file"),
        ({"aggregations": "!!python/object:os.system x"}, "not a YAML file"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_file_that_is_no_space_is_refused_with_file_key_and_rule(tmp_path, changes, message):
    path = write(tmp_path, **changes)
    with pytest.raises(SpaceError, match=message) as caught:
        Space.load(str(path))
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xff\xfe\x00blocks")
    with pytest.raises(SpaceError, match="not a YAML file"):
        Space.load(str(path))


def test_an_unknown_space_is_answered_with_the_known_ones(tmp_path):
    with pytest.raises(SpaceError, match=r"unknown space 'papr'; known are .*paper.* and paths of \.yaml files"):
        Space.load("papr")
    with pytest.raises(SpaceError, match=r"gone\.yaml: the file of the space cannot be read \(No such file"):
        Space.load(str(tmp_path / "gone.yaml"))


def test_a_space_of_too_many_blocks_is_refused():
    with pytest.raises(SpaceError, match="blocks must be a whole number from 1 to 10, but is 11"):
        Space.load("paper", blocks=11)


def test_describing_cells_needs_no_torch():
    code = "import sys, searchspace.space, searchspace.graph; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"


def test_the_printed_space_is_video_with_the_papers_readings_of_its_attentions():
    readings = {"memory_attention": {"scaled": True}, "local_correlation": {"masked": True, "joint": False}}
    expected = [
        Choice(each.name, tuple((each.arguments | readings.get(each.name, {})).items())) for each in VIDEO.aggregations
    ]
    assert Space.load("printed") == replace(VIDEO, name="printed", aggregations=tuple(expected))
