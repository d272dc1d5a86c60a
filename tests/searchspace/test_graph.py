from itertools import combinations, pairwise

import networkx as nx
import numpy as np
import pytest

from searchspace.choices import Choice
from searchspace.genotype import Block, Genotype
from searchspace.graph import layout, to_networkx
from searchspace.space import Space

SKIP, POOL = Choice("skip"), Choice("global_pool")
CELL = Genotype(
    (
        Block(("past.dec", "cur.layer2"), (SKIP, POOL), Choice("concat")),
        Block(("block0", "block0"), (POOL, SKIP), Choice("conv3d")),
        Block(("past.dec", "block0"), (SKIP, SKIP), Choice("attention_gate")),
    )
)
PAPER = Space.load("paper")
RANDOM = [PAPER.uniform(rng) for rng in [np.random.default_rng(0)] for _ in range(60)]


def test_the_graph_says_what_the_genotype_says():
    graph = to_networkx(CELL)
    assert dict(graph.nodes(data="kind")) == {
        "past.dec": "input",
        "cur.layer2": "input",
        "block0": "block",
        "block1": "block",
        "block2": "block",
        "dec": "output",
    }
    assert [graph.nodes[f"block{i}"]["label"] for i in range(3)] == ["concat", "conv3d", "attention_gate"]
    assert sorted(graph.edges(keys=True, data="operation"), key=str) == [
        ("block0", "block1", 0, "global_pool"),
        ("block0", "block1", 1, "skip"),
        ("block0", "block2", 1, "skip"),
        ("block1", "dec", 0, None),
        ("block2", "dec", 0, None),
        ("cur.layer2", "block0", 1, "global_pool"),
        ("past.dec", "block0", 0, "skip"),
        ("past.dec", "block2", 0, "skip"),
    ]


@pytest.mark.parametrize("genotype", RANDOM[:20], ids=lambda genotype: genotype.key)
def test_every_node_leads_to_dec_and_every_block_has_two_inputs(genotype):
    graph = to_networkx(genotype)
    assert nx.is_directed_acyclic_graph(graph)
    assert nx.ancestors(graph, "dec") == set(graph) - {"dec"}
    assert all(graph.in_degree(f"block{i}") == 2 for i in range(5))
    assert set(graph.predecessors("dec")) == {f"block{i}" for i in genotype.loose_ends}


def test_a_small_cell_is_laid_out_in_its_layers():
    drawn = layout(to_networkx(CELL))
    layers = {name: x for name, (x, _) in drawn.positions.items()}
    assert layers == {"past.dec": 0, "cur.layer2": 0, "block0": 1, "block1": 2, "block2": 2, "dec": 3}
    assert {edge: len(points) for edge, points in drawn.routes.items() if points} == {("past.dec", "block2"): 1}


def test_lines_go_right_and_nothing_lies_on_a_node():
    for genotype in RANDOM:
        graph = to_networkx(genotype)
        drawn = layout(graph)
        for (before, after), points in drawn.routes.items():
            xs = [drawn.positions[before][0], *(x for x, _ in points), drawn.positions[after][0]]
            assert xs == list(range(int(xs[0]), int(xs[-1]) + 1))
        for (one, (x1, y1)), (two, (x2, y2)) in combinations(drawn.positions.items(), 2):
            assert x1 != x2 or abs(y1 - y2) > 0.99, (one, two)
        for (before, _), points in drawn.routes.items():
            nodes = [place for name, place in drawn.positions.items() if name != before]
            assert all(x != px or abs(y - py) > 0.74 for px, py in points for x, y in nodes)


def test_the_layout_is_the_same_each_time():
    assert all(layout(to_networkx(g)) == layout(to_networkx(g)) for g in RANDOM)


def crossings(drawn):
    """Pairs of lines between two neighbouring layers that swap sides."""
    pieces = set()
    for (before, after), points in drawn.routes.items():
        path = [drawn.positions[before], *points, drawn.positions[after]]
        pieces |= set(pairwise(path))
    return sum(a[0] == c[0] and (a[1] - c[1]) * (b[1] - d[1]) < -1e-9 for (a, b), (c, d) in combinations(pieces, 2))


def test_ordering_the_layers_leaves_few_crossings():
    assert np.mean([crossings(layout(to_networkx(genotype))) for genotype in RANDOM]) < 3
