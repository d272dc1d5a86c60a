"""Nothing that comes from outside is run, and what is depended on is bounded."""

import ast
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
FILES = [path for home in ("searchspace", "cache", "baselines", "nas") for path in sorted((ROOT / home).rglob("*.py"))]
FORBIDDEN = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "np.load", "numpy.load"),
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.loads", "joblib.load", "shelve.open"),
    *("yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load", "yaml.Loader", "yaml.UnsafeLoader"),
}
PROGRAMS = {"subprocess", "pty", "commands", "webbrowser"}


def calls(path):
    """Each call as (dotted name, keyword -> expression), and the modules that are imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    named = [(ast.unparse(call.func), {word.arg: ast.unparse(word.value) for word in call.keywords}) for call in found]
    plain = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    return named, plain + [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_code_is_read_and_no_program_started(path):
    named, modules = calls(path)
    assert FORBIDDEN.isdisjoint(name for name, _ in named)
    assert PROGRAMS.isdisjoint(modules)
    assert all(words.get("weights_only") == "True" for name, words in named if name == "torch.load")
    assert not any("shell" in words for _, words in named)


def test_every_dependency_has_a_lower_and_an_upper_bound():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    listed += [each for extra in project["project"]["optional-dependencies"].values() for each in extra]
    needed = [Requirement(each) for each in listed if Requirement(each).name != "dyncell"]
    assert [str(each) for each in needed if {part.operator for part in each.specifier} != {">=", "<"}] == []
