"""A reader meets first lines of docstrings alone, in `--help`, in an editor's hint or in an index: they stand alone."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [
    path
    for package in ("nas", "cache", "searchspace", "baselines", "dyncell", "benchmarks")
    for path in sorted((ROOT / package).rglob("*.py"))
]
LEANING = re.compile(r"(Of|That|Those|Their|Whether|As `|So|Not)\b")
"""Beginnings that can only be read after the name: "Of the frames.", "Those of `run`.", "As `run`, but ..."."""
PARTICIPLE = re.compile(r"_*(said|drawn|wanted|counted|measured|windowed|completed|resolved|overlaid|thinned)")
"""Names that functions once had; a verb says what one does, or a noun what it gives."""


def sentences(tree):
    """Yield line and text of each docstring, and of each text under a field or a constant."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for before, after in zip([None, *body], body, strict=False) if isinstance(body, list) else ():
            is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            if is_text and isinstance(after.value.value, str) and isinstance(before, ast.AnnAssign | ast.Assign | None):
                yield after.lineno, after.value.value.strip()


def functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_first_lines_stand_alone_and_functions_are_no_participles(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    leaning = [f"{line}: {text.splitlines()[0]}" for line, text in sentences(tree) if LEANING.match(text)]
    named = [f"{node.lineno}: {node.name}" for node in functions(tree) if PARTICIPLE.fullmatch(node.name)]
    assert leaning + named == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('"""Of a module."""', ["Of a module."]),
        ('class A:\n    x: int\n    """Their number."""', ["Their number."]),
        ('def f():\n    """Offer."""\n    return 1', ["Offer."]),
        ('x = 1\n"""Those."""\nprint(x)\n"""no docstring"""', ["Those."]),
    ],
)
def test_docstrings_of_modules_fields_and_functions_are_all_read(source, found):
    assert [text for _, text in sentences(ast.parse(source))] == found


def test_words_that_only_begin_alike_are_free():
    assert not LEANING.match("Offer a cell.")
    assert not LEANING.match("Assign jobs.")
    assert LEANING.match("Those of `run`.")
