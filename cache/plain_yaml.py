"""YAML that anybody may have written: plain values, and one error for all that can be wrong with it."""

from typing import Any, Final

import yaml

_DEEPEST: Final = 50  # levels; PyYAML takes minutes over thousands
_WRONG: Final = (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
"""Errors that PyYAML raises: the last five on dates, numbers and tags that look right and are not."""


def parse_yaml(text: str) -> Any:  # noqa: ANN401 - whatever it holds
    """Parse the values of a text. Raises ValueError if it is not YAML, nested too deeply, or has aliases."""
    try:
        _refuse_bombs(text)
        return yaml.safe_load(text)
    except _WRONG as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error


def _refuse_bombs(text: str) -> None:
    """Raise ValueError for what is small as a text and large as values."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise ValueError(f"it is nested deeper than {_DEEPEST} levels")
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("it has an alias, of which a few can stand for gigabytes; write the value out")
