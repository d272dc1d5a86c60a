"""Examples: the few of many that are shown to a person."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def spread_evenly(items: Sequence[T], count: int) -> list[T]:
    """Choose at most `count` items, each from the middle of one of as many equal parts of the list."""
    count = min(count, len(items))
    return [items[(2 * place + 1) * len(items) // (2 * count)] for place in range(count)]
