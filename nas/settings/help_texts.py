"""Help texts of settings: each docstring as one paragraph, which `--help` wraps to the terminal."""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from itertools import pairwise
from textwrap import dedent
from types import MappingProxyType
from typing import get_type_hints


def set_help(kind: type) -> None:
    """Give tyro the docstrings of a dataclass' settings, and of the sections in it, without their line breaks.

    Left alone, it breaks a line of help also where the source file breaks it.
    """
    texts = {name: text for owner in kind.__mro__ if is_dataclass(owner) for name, text in _docstrings(owner)}
    for setting in fields(kind):
        if setting.name in texts:
            setting.metadata = MappingProxyType({**setting.metadata, "help": texts[setting.name]})
    for section in get_type_hints(kind).values():
        if isinstance(section, type) and is_dataclass(section):
            set_help(section)


def _docstrings(kind: type) -> Iterator[tuple[str, str]]:
    """Yield the settings that the source of a class itself declares, each with its docstring in one line."""
    try:
        [declaration] = ast.parse(dedent(inspect.getsource(kind))).body
    except OSError:  # a class that was typed in, and stands in no file
        return
    assert isinstance(declaration, ast.ClassDef)
    for setting, behind in pairwise(declaration.body):
        if isinstance(setting, ast.AnnAssign) and isinstance(behind, ast.Expr):
            assert isinstance(setting.target, ast.Name)
            yield setting.target.id, " ".join(str(ast.literal_eval(behind.value)).split())
