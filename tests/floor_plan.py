"""Print the floor plan: files in each folder, imports between rooms, the largest files and functions.

    python tests/floor_plan.py [ROOT]

A room is a package, or a folder directly in `nas/`; files directly in `nas/` are its commands. Sizes are in lines.
"""

import ast
import sys
from collections import Counter
from pathlib import Path
from statistics import median

PACKAGES = ("searchspace", "cache", "baselines", "nas", "dyncell")
MOST = 12  # files and functions that are listed


def room_of(parts):
    """Name the room of a file or module by its parts."""
    if parts[0] != "nas":
        return parts[0]
    return f"nas/{parts[1]}" if len(parts) > 2 else "nas commands"


def imported_modules(tree):
    """List the modules that a file imports, wherever it does."""
    nodes = list(ast.walk(tree))
    names = [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return names + [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]


def functions_of(path, tree):
    """Yield (lines, place) of every function of a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.end_lineno - node.lineno + 1, f"{path}:{node.lineno} {node.name}"


def print_table(title, rows):
    """Print counts and what they are of, under a title."""
    print(f"\n{title}")
    for count, name in rows:
        print(f"{count:6} {name}")


def main(root):
    """Print the plan of the packages in `root`."""
    paths = sorted(path.relative_to(root) for name in PACKAGES for path in (root / name).rglob("*.py"))
    paths = [path for path in paths if path.name != "__init__.py" or (root / path).stat().st_size]
    texts = {path: (root / path).read_text(encoding="utf-8") for path in paths}
    trees = {path: ast.parse(text) for path, text in texts.items()}
    modules = {path.with_suffix("").parts for path in paths}
    arrows = Counter(
        f"{room_of(path.parts)} -> {room_of(tuple(name.split('.')))}"
        for path, tree in trees.items()
        for name in imported_modules(tree)
        if tuple(name.split(".")) in modules and room_of(path.parts) != room_of(tuple(name.split(".")))
    )
    two_way = {arrow for arrow in arrows if " -> ".join(reversed(arrow.split(" -> "))) in arrows}
    functions = sorted((each for path, tree in trees.items() for each in functions_of(path, tree)), reverse=True)
    sizes = [len(text.splitlines()) for text in texts.values()]
    print_table(
        "files directly in each folder", [(n, f) for f, n in sorted(Counter(str(p.parent) for p in paths).items())]
    )
    print_table(
        "imports between rooms (* both ways)", [(n, a + " *" * (a in two_way)) for a, n in sorted(arrows.items())]
    )
    print_table("largest files", sorted(zip(sizes, map(str, paths), strict=True), reverse=True)[:MOST])
    print_table("largest functions", functions[:MOST])
    lengths = [length for length, _ in functions]
    print(f"\n{len(paths)} files of {sum(sizes)} lines, median {median(sizes):.0f}")
    print(f"{len(functions)} functions, median {median(lengths):.0f} lines")
    print(f"{len(arrows)} pairs of rooms, {len(two_way) // 2} of them both ways")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1])
