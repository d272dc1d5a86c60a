import pytest

from searchspace.choices import Choice
from searchspace.genotype import Block, Genotype
from searchspace.space import Space

READS, SKIPS = ("cur.layer2", "past.dec"), (Choice("skip"), Choice("skip"))
BLOCKS = [
    *(Block(READS, (each, each), Choice("weighted_sum")) for each in Space.load("paper").operations),
    *(Block(READS, SKIPS, each) for each in Space.load("video").aggregations),
]


@pytest.fixture(params=BLOCKS, ids=lambda block: f"{block.operations[0]}, {block.aggregation}")
def of_one_block(request):
    """A cell for every operation there is, and for every aggregation."""
    return Genotype((request.param,))
