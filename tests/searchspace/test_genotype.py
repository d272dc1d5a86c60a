import json
from collections import defaultdict
from itertools import combinations, product

import networkx as nx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from networkx.algorithms.isomorphism import categorical_node_match

from searchspace.choices import Choice
from searchspace.errors import SpaceError
from searchspace.genotype import INPUTS, MAX_BLOCKS, Block, Genotype
from searchspace.space import Space

SKIP = Choice("skip")
POOL = Choice("global_pool")
CONCAT = Choice("concat")
GATE = Choice("attention_gate")
# Said here again, because the reference must not follow the code.
SYMMETRIC = ("weighted_sum", "concat", "conv3d", "gated_fusion")


def block(first, second, aggregation=CONCAT, operations=(SKIP, SKIP)):
    return Block((first, second), operations, aggregation)


@st.composite
def spaces(draw, fewest=1):
    return Space.load(draw(st.sampled_from(("paper", "video"))), blocks=draw(st.integers(fewest, 5)))


@st.composite
def genotypes(draw, space=None):
    space = space or draw(spaces())
    return space.genotype(tuple(draw(st.integers(0, d.choices - 1)) for d in space.decisions))


def computation(genotype):
    """The graph of a cell for networkx to compare: tensors and operations are nodes, labels say all that is computed.

    An operation's label holds its place in the aggregation only where the aggregation tells its inputs apart, and an
    attention's the number of its slots only where it reads a memory.
    """
    graph = nx.DiGraph()
    graph.add_nodes_from((name, {"label": name}) for name in INPUTS)
    for index, blk in enumerate(genotype.blocks):
        arguments = blk.aggregation.arguments
        if not blk.inputs[1].startswith("past."):
            arguments.pop("slots", None)
        graph.add_node(f"block{index}", label=f"{blk.aggregation.name} {sorted(arguments.items())}")
        for slot, (name, operation) in enumerate(zip(blk.inputs, blk.operations, strict=True)):
            place = 0 if blk.aggregation.name in SYMMETRIC else slot
            graph.add_node((index, slot), label=f"{operation} {place}")
            nx.add_path(graph, [name, (index, slot), f"block{index}"])
    return graph


def isomorphic(one, two):
    labels = [sorted(label for _, label in graph.nodes(data="label")) for graph in (one, two)]
    return labels[0] == labels[1] and nx.is_isomorphic(one, two, node_match=categorical_node_match("label", None))


def same_graph(one, two):
    return isomorphic(computation(one), computation(two))


def reordered(genotype, order):
    """`genotype` with block `order[i]` as block i; order must be one in which blocks can be computed."""
    names = {f"block{old}": f"block{new}" for new, old in enumerate(order)}
    blocks = [genotype.blocks[old] for old in order]
    return Genotype(tuple(Block(tuple(names.get(n, n) for n in b.inputs), b.operations, b.aggregation) for b in blocks))


def random_order(genotype, data):
    order = []
    while len(order) < len(genotype.blocks):
        done = {f"block{index}" for index in order} | set(INPUTS)
        rest = [i for i, b in enumerate(genotype.blocks) if i not in order and set(b.inputs) <= done]
        order.append(data.draw(st.sampled_from(rest)))
    return order


@settings(deadline=None)
@given(genotypes())
def test_json_and_back_is_the_same_genotype(genotype):
    assert Genotype.from_json(json.loads(json.dumps(genotype.to_json()))) == genotype


@settings(deadline=None)
@given(genotypes())
def test_the_canonical_form_is_its_own_canonical_form_and_the_same_cell(genotype):
    canonical = genotype.canonical()
    assert canonical.canonical() == canonical
    assert canonical.key == genotype.key
    assert same_graph(canonical, genotype)


@settings(deadline=None)
@given(genotypes(), st.data())
def test_the_key_ignores_the_order_of_blocks_and_of_symmetric_pairs(genotype, data):
    moved = reordered(genotype, random_order(genotype, data))
    blocks = [
        Block(b.inputs[::-1], b.operations[::-1], b.aggregation)
        if b.aggregation.name in SYMMETRIC and data.draw(st.booleans())
        else b
        for b in moved.blocks
    ]
    assert Genotype(tuple(blocks)).canonical() == genotype.canonical()
    assert Genotype(tuple(blocks)).key == genotype.key


@settings(deadline=None, max_examples=150)
@given(spaces(fewest=2), st.data())
def test_one_changed_token_keeps_the_key_exactly_if_the_graph_stays(space, data):
    genotype = data.draw(genotypes(space))
    tokens = list(space.tokens(genotype))
    place = data.draw(st.integers(0, len(tokens) - 1))
    tokens[place] = data.draw(st.integers(0, space.decisions[place].choices - 1))
    changed = space.genotype(tuple(tokens))
    assume(changed != genotype)
    assert (changed.key == genotype.key) == same_graph(changed, genotype)


@pytest.mark.parametrize(
    "space",
    [
        Space("three blocks", 3, ("past.dec",), (SKIP,), (CONCAT, GATE)),
        Space("two operations", 2, ("past.dec",), (SKIP, POOL), (CONCAT, GATE)),
        Space("two inputs", 2, ("past.dec", "cur.layer2"), (SKIP,), (CONCAT, GATE)),
    ],
    ids=lambda space: space.name,
)
def test_over_a_whole_space_keys_are_equal_exactly_where_networkx_finds_an_isomorphism(space):
    groups = defaultdict(list)
    for tokens in product(*(range(decision.choices) for decision in space.decisions)):
        cell = space.genotype(tokens)
        groups[cell.key].append(computation(cell))
    assert 10 < len(groups) < space.size
    assert all(isomorphic(first, other) for first, *others in groups.values() for other in others)
    assert not any(isomorphic(one[0], two[0]) for one, two in combinations(groups.values(), 2))


def test_swapping_the_inputs_of_an_order_sensitive_aggregation_is_another_cell():
    attentions = [choice for choice in Space.load("video").aggregations if "slots" in choice.arguments]
    for aggregation in (GATE, Choice("predictive_filter"), Choice("affine_sampling"), *attentions):
        one = Genotype((block("past.dec", "cur.layer2", aggregation),))
        two = Genotype((block("cur.layer2", "past.dec", aggregation),))
        assert one.key != two.key


def test_slots_tell_cells_apart_where_a_memory_is_read_and_only_there():
    def cell(read, slots):
        attention = Choice("local_correlation", (("slots", slots), ("window", 11)))
        return Genotype((block("cur.layer2", read, attention),))

    assert cell("past.dec", 1).key != cell("past.dec", 4).key
    assert cell("cur.layer3", 1).key == cell("cur.layer3", 4).key


def test_the_key_is_a_fixed_function_of_the_cell():
    """Keys name files and random streams: a change of this number makes old runs unrepeatable."""
    genotype = Genotype((block("past.dec", "cur.layer2"), block("block0", "cur.layer4", GATE, (POOL, SKIP))))
    assert genotype.key == "ebeb8817edcacc81"
    attention = Choice("memory_attention", (("slots", 4), ("stride", 2)))
    assert Genotype((block("cur.layer2", "past.dec", attention),)).key == "d79017ff91d6ae8d"


def test_parameters_at_their_defaults_are_no_part_of_the_key():
    short, long = (("slots", 4),), (("keys", 16), ("scaled", False), ("slots", 4), ("stride", 1), ("values", 64))
    cells = [Genotype((block("cur.layer2", "past.dec", Choice("memory_attention", sizes)),)) for sizes in (short, long)]
    assert cells[0] == cells[1]
    assert cells[0].key == cells[1].key
    assert cells[1].to_json()["blocks"][0]["aggregation"] == {"memory_attention": {"slots": 4}}


def test_other_parameters_are():
    keys = {
        Genotype((block("cur.layer2", "past.dec", Choice("local_correlation", tuple(sizes.items()))),)).key
        for sizes in (
            {"slots": 4, "window": 11},
            {"slots": 3, "window": 11},
            {"slots": 4, "window": 9},
            {"slots": 4, "window": 11, "masked": True},
            {"slots": 4, "window": 11, "joint": False},
            {"slots": 4, "window": 11, "keys": 17},
        )
    }
    assert len(keys) == 6


@pytest.mark.parametrize("readers", [0, 3, 5])
def test_cells_full_of_equal_blocks_have_their_key_soon(readers):
    equal = [block("past.dec", "past.dec") for _ in range(MAX_BLOCKS - readers)]
    chained = [block(f"block{i}", f"block{i}", GATE) for i in range(readers)]
    genotype = Genotype((*equal, *chained))
    backwards = sorted(range(MAX_BLOCKS), key=lambda index: (index >= len(equal), -index))
    assert genotype.key == reordered(genotype, backwards).key


def test_loose_ends_and_sources_are_what_nobody_reads_and_what_somebody_reads():
    genotype = Genotype((block("past.dec", "cur.layer2"), block("block0", "past.dec"), block("block0", "cur.layer2")))
    assert genotype.loose_ends == (1, 2)
    assert genotype.sources == ("past.dec", "cur.layer2")
    assert genotype.uses("block0")
    assert not genotype.uses("block1")


def test_a_forward_reference_names_its_block_and_what_it_may_read():
    with pytest.raises(SpaceError, match=r"block 0: inputs must be among past.layer4, .*key.dec, but one is 'block0'"):
        Genotype((block("past.dec", "block0"),))


def broken(**changes):
    """A good JSON genotype of two blocks whose second has the `changes`; a change to None removes the field."""
    good = Genotype((block("past.dec", "cur.layer2"), block("block0", "cur.layer4"))).to_json()
    good["blocks"][1] |= changes
    good["blocks"][1] = {key: value for key, value in good["blocks"][1].items() if value is not None}
    return good


DEEP = json.loads("[" * 500 + "]" * 500)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param(None, "a genotype must be a mapping of blocks, schema, but is None", id="nothing"),
        pytest.param([], "a genotype must be a mapping", id="a list"),
        pytest.param(broken() | {"weights": 1}, "exactly the keys blocks, schema, but has .*weights", id="unknown key"),
        pytest.param({"blocks": []}, "exactly the keys", id="no schema"),
        pytest.param(broken() | {"schema": 2}, "schema 2 cannot be read; this version reads 1", id="newer schema"),
        pytest.param(broken() | {"schema": True}, "schema True cannot be read", id="schema of another type"),
        pytest.param(broken() | {"blocks": []}, "1 to 10 blocks, but has 0", id="no block"),
        pytest.param(broken() | {"blocks": {}}, "blocks must be a list", id="blocks of another type"),
        pytest.param(broken() | {"blocks": [{}] * 100_000}, "blocks must be a list of 1 to 10 blocks, but", id="huge"),
        pytest.param(broken() | {"blocks": DEEP}, "block 0: a block must be a mapping", id="deep"),
        pytest.param(broken(inputs=DEEP), "block 1: inputs must be a list of two", id="deep inputs"),
        pytest.param(broken(inputs=["block0"]), "block 1: inputs must be a list of two", id="one input"),
        pytest.param(broken(inputs=["block0", 3]), "block 1: inputs must be two names", id="an input's number"),
        pytest.param(broken(inputs=["block0", "block1"]), "block 1: inputs must be among .*block0, but", id="forward"),
        pytest.param(broken(inputs=["block0", "Block0"]), "block 1: .* but one is 'Block0'", id="unknown input"),
        pytest.param(broken(operations="skip"), "block 1: operations must be a list of two", id="operations as text"),
        pytest.param(broken(operations=["skip", 4]), "block 1: a choice must be a name or", id="an operation's number"),
        pytest.param(broken(operations=["skip", "x" * 10_000]), "block 1: unknown operation 'xxx", id="long name"),
        pytest.param(broken(aggregation="sum"), "unknown aggregation 'sum'; known are weighted_sum", id="aggregation"),
        pytest.param(broken(aggregation=None), "block 1: a block must have exactly the keys", id="a field missing"),
        pytest.param(
            broken(aggregation={"local_correlation": {"slots": 4, "window": 10}}),
            "block 1: aggregation local_correlation: window must be one of 1, 3, 5, ..., 63, but is 10",
            id="an even window",
        ),
        pytest.param(
            broken(aggregation={"memory_attention": {"keys": 16}}),
            r"block 1: aggregation memory_attention takes slots, keys \(16\), .*, but got none",
            id="no slots",
        ),
        pytest.param(broken(stride=2), "exactly the keys aggregation, inputs, operations, but has", id="a field more"),
        pytest.param(
            broken(operations=["skip", {"separable_conv": {"kernel": 10**400, "dilation": 1}}]),
            "block 1: operation separable_conv: kernel must be one of 1, 3, 5, ..., 15",
            id="huge number",
        ),
    ],
)
def test_json_that_is_no_genotype_is_refused_in_one_clear_sentence(value, message):
    with pytest.raises(SpaceError, match=message) as caught:
        Genotype.from_json(value)
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)
