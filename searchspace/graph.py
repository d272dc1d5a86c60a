"""A genotype as a networkx graph, and where to draw its nodes; no torch, no ink.

Nodes are the inputs that the cell uses, its blocks, and `dec`, into which all loose ends go. An edge into a block
carries the operation that is applied on the way, and its key says whether it is the block's input 0 or 1.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import networkx as nx

from searchspace.genotype import Genotype

OUTPUT: Final = "dec"

Point = tuple[float, float]
Entry = tuple[str, int]  # a node in its own layer, or in a later layer the line that starts at it


def to_networkx(genotype: Genotype) -> "nx.MultiDiGraph[str]":
    """Turn a cell into a graph.

    Returns:
        Nodes with `kind` (`input`, `block` or `output`) and `label` (a block's is its aggregation); edges into blocks
        with `operation`. Two edges may join the same two nodes.
    """
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    graph.add_nodes_from((name, {"kind": "input", "label": name}) for name in genotype.sources)
    for index, block in enumerate(genotype.blocks):
        graph.add_node(f"block{index}", kind="block", label=str(block.aggregation))
        for slot, (name, operation) in enumerate(block.pairs):
            graph.add_edge(name, f"block{index}", key=slot, operation=str(operation))
    graph.add_node(OUTPUT, kind="output", label=OUTPUT)
    for index in genotype.loose_ends:
        graph.add_edge(f"block{index}", OUTPUT, key=0)
    return graph


@dataclass(frozen=True)
class Layout:
    """Places of a drawn cell: x counts layers from 0, inputs left and `dec` right; y grows upwards, 1 is a row."""

    positions: Mapping[str, Point]
    """Centre of each node."""
    routes: Mapping[tuple[str, str], tuple[Point, ...]]
    """Points between two joined nodes through which a line passes so that it meets no other node on the way."""


def layout(graph: "nx.MultiDiGraph[str]") -> Layout:
    """Place nodes in layers by their depth and order each layer so that few lines cross (Sugiyama et al. 1981)."""
    depth: dict[str, int] = {}
    for node in nx.topological_sort(graph):
        depth[node] = max((depth[before] + 1 for before in graph.predecessors(node)), default=0)
    last = {node: max((depth[after] - 1 for after in graph.successors(node)), default=depth[node]) for node in graph}
    entries = [(node, layer) for node in graph for layer in range(depth[node], last[node] + 1)]
    lines: nx.Graph[Entry] = nx.Graph()
    lines.add_nodes_from(entries)
    lines.add_edges_from(((node, layer), (node, layer + 1)) for node, layer in entries if layer < last[node])
    lines.add_edges_from(((before, depth[after] - 1), (after, depth[after])) for before, after in graph.edges())
    layers = [[entry for entry in entries if entry[1] == layer] for layer in range(max(depth.values()) + 1)]
    y = _heights(lines, layers, depth)
    return Layout(
        positions={node: (depth[node], y[node, depth[node]]) for node in graph},
        routes={
            (before, after): tuple((layer, y[before, layer]) for layer in range(depth[before] + 1, depth[after]))
            for before, after in dict.fromkeys(graph.edges())
        },
    )


def _heights(lines: "nx.Graph[Entry]", layers: list[list[Entry]], depth: Mapping[str, int]) -> dict[Entry, float]:
    """Give each entry a y: near the mean of its neighbours, in the order of these means, and not too close."""
    y = {entry: -float(place) for layer in layers for place, entry in enumerate(layer)}
    for sweep in range(24):
        for layer in layers if sweep % 2 == 0 else layers[::-1]:
            ideal = {entry: _mean(y[neighbour] for neighbour in lines[entry]) for entry in layer}
            if sweep < 16:  # then the order stays, and the heights settle
                layer.sort(key=ideal.__getitem__, reverse=True)
            _place(layer, ideal, y, depth)
    middle = (max(y.values()) + min(y.values())) / 2
    return {entry: height - middle for entry, height in y.items()}


def _place(layer: list[Entry], ideal: Mapping[Entry, float], y: dict[Entry, float], depth: Mapping[str, int]) -> None:
    """Set y of a layer's entries, from the top: at the ideal height, or lower where the one above needs the room."""
    heights: list[float] = []
    for above, entry in zip([None, *layer], layer, strict=False):
        room = 0.0 if above is None else (_size(above, depth) + _size(entry, depth)) / 2
        heights.append(ideal[entry] if above is None else min(ideal[entry], heights[-1] - room))
    shift = _mean(ideal[entry] - height for entry, height in zip(layer, heights, strict=True))
    y.update((entry, height + shift) for entry, height in zip(layer, heights, strict=True))


def _size(entry: Entry, depth: Mapping[str, int]) -> float:
    """Count the rows that an entry takes: a node one, a passing line less."""
    return 1.0 if depth[entry[0]] == entry[1] else 0.5


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)
