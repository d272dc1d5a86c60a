"""Features of cells, counted again by hand."""

from collections import Counter

import numpy as np
import pytest

from searchspace.encoding import Encoding
from searchspace.space import Space

SPACE = Space.load("video", blocks=3)
ENCODING = Encoding(SPACE)


def counted(cell):
    """What the features of a cell are, as a list with repetitions."""
    inputs, operations, aggregations = (SPACE.vocabulary(kind) for kind in ("input", "operation", "aggregation"))
    found = []
    for block in cell.blocks:
        found += [("input", name) for name in block.inputs] + [("operation", str(each)) for each in block.operations]
        found += [("aggregation", str(block.aggregation))]
        found += [(name, str(operation)) for name, operation in block.pairs]
        found += [(str(operation), str(block.aggregation)) for operation in block.operations]
    labels = [("input", each) for each in inputs] + [("operation", each) for each in operations]
    labels += [("aggregation", each) for each in aggregations]
    labels += [(name, operation) for name in inputs for operation in operations]
    labels += [(operation, aggregation) for operation in operations for aggregation in aggregations]
    return [found.count(label) for label in labels]


@pytest.mark.parametrize("seed", range(5))
def test_features_are_one_hot_tokens_and_counts_of_choices_and_pairs(seed):
    cell = SPACE.uniform(np.random.default_rng(seed))
    one_hot = []
    for token, decision in zip(SPACE.tokens(cell), SPACE.decisions, strict=True):
        one_hot += [float(choice == token) for choice in range(decision.choices)]
    [features] = ENCODING.encode_tokens(np.array([SPACE.tokens(cell)]))
    assert features.tolist() == one_hot + counted(cell)


def test_cells_are_encoded_together_as_they_are_alone():
    cells = [SPACE.uniform(np.random.default_rng(seed)) for seed in range(4)]
    tokens = np.array([SPACE.tokens(cell) for cell in cells])
    alone = [ENCODING.encode_tokens(row[None]) for row in tokens]
    np.testing.assert_array_equal(ENCODING.encode_tokens(tokens), np.concatenate(alone))


def flowed(cell):
    """Shares of the result that pass each choice and pair, followed from the loose ends one path at a time."""
    found = Counter()

    def follow(index, share):
        block = cell.blocks[index]
        found["aggregation", str(block.aggregation)] += share
        for name, operation in block.pairs:
            origin = "block" if name.startswith("block") else name
            found["input", origin] += share / 2
            found["operation", str(operation)] += share / 2
            found[origin, str(operation)] += share / 2
            found[str(operation), str(block.aggregation)] += share / 2
            if origin == "block":
                follow(int(name.removeprefix("block")), share / 2)

    for index in cell.loose_ends:
        follow(index, 1 / len(cell.loose_ends))
    operations, aggregations = (SPACE.vocabulary(kind) for kind in ("operation", "aggregation"))
    origins = [*SPACE.inputs, "block"]
    labels = [("input", each) for each in origins] + [("operation", each) for each in operations]
    labels += [("aggregation", each) for each in aggregations]
    labels += [(origin, operation) for origin in origins for operation in operations]
    labels += [(operation, aggregation) for operation in operations for aggregation in aggregations]
    return [len(cell.loose_ends) / len(cell.blocks), *(found[label] for label in labels)]


@pytest.mark.parametrize("seed", range(10))
def test_flow_is_the_share_of_the_result_on_every_path(seed):
    cell = SPACE.uniform(np.random.default_rng(seed))
    [features] = ENCODING.encode_flow(np.array([SPACE.tokens(cell)]))
    assert features.tolist() == pytest.approx(flowed(cell))
