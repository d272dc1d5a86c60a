"""The command `dyncell`, and what folders of the user's own do to it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import dyncell
from nas.settings.commands import commands, overview

ROOT = Path(__file__).parents[2]
WITHOUT_EDITABLE = "import sys; sys.meta_path = [each for each in sys.meta_path if 'ditable' not in str(each)]"
"""What an editable install adds to the ways of importing finds modules even of packages that are hidden."""


def run(*words, cwd=ROOT, path=ROOT):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(path), os.environ.get("PYTHONPATH")]))}
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=cwd, env=environment)


@pytest.fixture
def script(tmp_path):
    """What an installation puts on the path: a file called dyncell, in a folder without packages."""
    path = tmp_path / "bin" / "dyncell"
    path.parent.mkdir()
    path.write_text("from dyncell.__main__ import main\nmain()\n")
    return path


def test_the_list_has_a_line_for_every_file_in_nas():
    files = sorted(path.stem for path in (ROOT / "nas").glob("[a-z]*.py"))
    assert sorted(commands().values()) == files
    lines = dict(line.split(maxsplit=1) for line in overview().splitlines())
    assert list(lines) == list(commands())
    assert lines["segment"] == "what a trained network makes of a video without labels"
    assert all(len(sentence) > 20 for sentence in lines.values())


@pytest.mark.parametrize("words", [["-m", "dyncell"], ["-m", "dyncell", "--help"], ["-m", "nas"]])
def test_help_lists_the_commands(words):
    result = run(*words)
    assert result.returncode == 0
    assert overview() in result.stdout


def test_the_version_is_that_of_the_package():
    assert run("-m", "dyncell", "--version").stdout == f"dyncell {dyncell.__version__}\n"


def test_an_unknown_command_is_named_beside_those_that_there_are():
    result = run("-m", "dyncell", "serach")
    assert result.returncode == 2
    assert result.stderr.startswith("error: there is no command 'serach'\n")
    assert overview() in result.stderr


def test_a_command_is_called_by_its_name_and_keeps_its_exit_code(script):
    assert run(script, "segment", "--help").stdout.startswith("usage: dyncell segment ")
    assert run("-m", "nas.segment", "--help").stdout.startswith("usage: python -m nas.segment ")
    result = run(script, "segment", "absent.mp4", "--checkpoint", "absent.pt")
    assert (result.returncode, result.stderr) == (2, "error: there is no file absent.pt\n")


@pytest.fixture
def hidden(tmp_path):
    """A function that makes packages of the user's own, of these names, in a folder to work in."""

    def make(*names):
        home = tmp_path / "home"
        for name in names:
            (home / name).mkdir(parents=True)
            (home / name / "__init__.py").touch()
        return home

    return make


def test_folders_called_as_our_packages_are_do_not_matter_to_the_command(hidden, script):
    home = hidden("nas", "cache", "searchspace", "baselines")
    result = run(script, "segment", "absent.mp4", "--checkpoint", "absent.pt", cwd=home)
    assert (result.returncode, result.stderr) == (2, "error: there is no file absent.pt\n")


@pytest.mark.parametrize("name", ["cache", "searchspace", "baselines"])
def test_a_module_that_runs_says_which_folder_hides_a_package(hidden, name):
    home = hidden(name)
    result = run("-m", "nas.search", "--help", cwd=home)
    assert result.returncode == 1
    assert f"{home / name} hides dyncell's package {name!r}; rename it" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(("name", "asked"), [("nas", "build_head"), ("cache", "load"), ("searchspace", "Genotype")])
def test_an_import_says_so_too(hidden, name, asked):
    code = f"{WITHOUT_EDITABLE}; import dyncell; dyncell.{asked}"
    result = run("-c", code, cwd=hidden(name))
    assert f"a file or folder called {name} in the working directory" in result.stderr.splitlines()[-1]


def test_a_folder_that_is_no_package_hides_nothing(tmp_path):
    (tmp_path / "cache").mkdir()
    assert run("-c", "import dyncell; dyncell.load", cwd=tmp_path).returncode == 0
