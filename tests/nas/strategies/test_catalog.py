"""The catalog: what it lists, what a row says of the settings that it reads, and strategies of one's own."""

import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from nas.settings.config import SearchConfig
from nas.settings.errors import RunError
from nas.strategies.catalog import STRATEGIES, make_strategy, settings_of
from searchspace.space import Space

SPACE = Space.load("paper", blocks=1)
ROOT = Path(__file__).parents[3]

OWN = """
class Constant:
    def __init__(self, config, space, start):
        self.cell = space.genotype((config.seed,) + (0,) * (len(space.decisions) - 1))
    def ask(self):
        return self.cell
    def tell(self, trial):
        pass

def nothing(config, space, start):
    return 3

def other(space):
    return Constant(space)

number = 7
"""


class Watched:
    """A configuration that notes what is read of it."""

    def __init__(self, config):
        self.config, self.read = config, set()

    def __getattr__(self, name):
        self.read.add(name)
        return getattr(self.config, name)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_builder_reads_the_settings_of_its_row_and_no_others(name):
    watched = Watched(SearchConfig())
    STRATEGIES[name].build(watched, SPACE, ())
    of_the_search = {"seed", "candidate"}  # the target of cost is a candidate's setting
    assert watched.read - of_the_search == set(settings_of(name)) - {"warm_start"}
    assert set(settings_of(name)) <= {field.name for field in fields(SearchConfig)}


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A package `mine` in the working directory."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/__init__.py").touch()
    (tmp_path / "mine/cells.py").write_text(OWN)
    (tmp_path / "mine/typo.py").write_text("def broken(:\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for module in [name for name in sys.modules if name.split(".")[0] == "mine"]:
        del sys.modules[module]


@pytest.mark.usefixtures("own")
def test_a_strategy_of_ones_own_is_found_in_the_working_directory_and_gets_the_settings():
    strategy = make_strategy(SearchConfig(strategy="mine.cells:Constant", seed=1), SPACE)
    assert SPACE.tokens(strategy.ask())[0] == 1


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("mine.nowhere:Constant", "the module mine.nowhere cannot be imported from .*No module named 'mine.nowhere'"),
        ("mine.typo:broken", r"the module mine.typo cannot be imported .*invalid syntax"),
        ("mine.cells:Missing", r"cells\.py defines no 'Missing'"),
        ("mine.cells:number", "is no strategy: it must be a class or function"),
        ("mine.cells:other", "is no strategy: .*too many positional arguments"),
        ("mine.cells:nothing", "made int, which is no strategy: it lacks ask or tell"),
    ],
)
def test_a_module_or_a_name_that_is_not_there_or_is_no_strategy_is_told(name, reason):
    with pytest.raises(RunError, match=reason):
        make_strategy(SearchConfig(strategy=name), SPACE)


@pytest.mark.parametrize("name", ["pppo", "mine.cells:", ":Constant", "mine.cells:a b"])
def test_a_name_of_another_form_is_answered_with_the_names_there_are(name):
    with pytest.raises(RunError, match=r"ppo, ppo_plain, random, evolution, or package\.module:name"):
        SearchConfig(strategy=name)


@pytest.mark.usefixtures("own")
def test_the_command_ends_with_code_2_before_it_computes_or_writes_anything(tmp_path):
    words = ["-m", "nas.search", "--dataset", "shapes", "--run", "r", "--strategy", "mine.cells:Missing"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 2
    assert done.stderr.startswith("error: --strategy mine.cells:Missing: ")
    assert not (tmp_path / "r").exists()
