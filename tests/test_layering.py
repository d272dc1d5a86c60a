"""The floor plan is a test: what may import what, and no cycles between modules."""

import ast
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "searchspace": set(),
    "cache": set(),
    "baselines": {"searchspace"},
    "nas": {"searchspace", "cache", "baselines"},
    "dyncell": {"nas", "searchspace", "cache", "baselines"},
}
# rooms of nas/ in the order of their floors; a room may import those of lower floors, and none beside it on its own
FLOORS = (
    ("settings",),
    ("runs", "workers", "networks"),
    ("evaluation", "labelled_video"),
    ("training",),
    ("strategies", "reporting"),
    ("landscapes",),
    ("commands",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted(path.relative_to(ROOT) for home in MAY_IMPORT for path in (ROOT / home).rglob("*.py"))
# commands that answer --help before torch is loaded
TORCH_FREE = tuple(
    f"nas.{name}"
    for name in ("check", "search", "pretrain", "plot", "compare", "segment", "export", "retrain", "replay", "gather")
)


def module_of(path):
    return ".".join(path.with_suffix("").parts)


def imported(path, *, top_level_only=False):
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    names = [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return names + [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]


def import_graph(**options):
    graph = nx.DiGraph()
    known = {module_of(path) for path in FILES} | {"torch"}
    for path in FILES:
        graph.add_edges_from((module_of(path), name) for name in imported(path, **options) if name in known)
    return graph


def test_what_needs_an_extra_is_imported_by_nobody_who_does_without():
    theirs = {module_of(path) for path in FILES if path.name.startswith("transformers_")}
    forbidden = theirs | {"transformers", "safetensors", "huggingface_hub"}
    ours = [path for path in FILES if module_of(path) not in theirs]
    found = {str(path): [name for name in imported(path) if {name, name.split(".")[0]} & forbidden] for path in ours}
    assert {path: names for path, names in found.items() if names} == {}
    assert theirs


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_point_downwards(path):
    home = path.parts[0]
    assert {name.split(".")[0] for name in imported(path)} & MAY_IMPORT.keys() <= MAY_IMPORT[home] | {home}


def room_of(module):
    """A folder of `nas`, "commands" for the files directly in it; None outside."""
    home, *inner = module.split(".")
    return None if home != "nas" else inner[0] if len(inner) > 1 else "commands"


@pytest.mark.parametrize("path", [path for path in FILES if path.parts[0] == "nas"], ids=str)
def test_rooms_import_only_from_floors_below(path):
    here, known = room_of(module_of(path)), {module_of(path) for path in FILES}
    rooms = {room_of(name) for name in imported(path) if name in known} - {None, here}
    assert [room for room in rooms if FLOOR[room] >= FLOOR[here]] == []


def test_no_command_imports_a_command():
    commands = {module_of(path) for path in FILES if path.parent == Path("nas") and path.name != "__init__.py"}
    assert [edge for edge in import_graph().edges if set(edge) <= commands] == []


def test_modules_import_each_other_in_no_cycle():
    assert list(nx.simple_cycles(import_graph())) == []


@pytest.mark.parametrize("path", [path for path in FILES if path.name == "__init__.py"], ids=str)
def test_packages_re_export_nothing(path):
    """The public face alone does; nas/__init__.py holds a check that imports nothing of ours."""
    home = path.parent.as_posix()
    if home == "nas":
        assert {name.split(".")[0] for name in imported(path)} & MAY_IMPORT.keys() == set()
    elif home != "dyncell":
        assert (ROOT / path).read_text(encoding="utf-8") == ""


def test_every_file_directly_in_nas_is_a_command():
    commands = [path for path in FILES if path.parent == Path("nas") and path.name != "__init__.py"]
    assert commands
    assert all('if __name__ == "__main__":' in (ROOT / path).read_text(encoding="utf-8") for path in commands)


@pytest.mark.parametrize("command", TORCH_FREE)
def test_a_command_line_loads_no_torch_until_it_works(command):
    assert "torch" not in nx.descendants(import_graph(top_level_only=True), command)
