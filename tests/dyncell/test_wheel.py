"""The wheel, in an environment of its own and in another directory: all files are in it, and no clone helps."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
import torch

import dyncell
from cache.datasets.shapes import Shapes
from cache.static.network import StaticNetwork, save_checkpoint

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PACKAGES = ("dyncell", "nas", "searchspace", "baselines", "cache")


def call(*words, cwd):
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    words = [str(word) for word in words]
    return subprocess.run(words, capture_output=True, text=True, cwd=cwd, env=environment, timeout=600)


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """The folder of python and dyncell in an environment that has the wheel, and our dependencies from this one."""
    home = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns("__pycache__")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, home / "source" / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, home / "source")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    built = call(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", home, home / "source", cwd=home)
    assert built.returncode == 0, built.stderr
    [wheel] = home.glob("*.whl")
    assert wheel.name == f"dyncell-{dyncell.__version__}-py3-none-any.whl"
    venv.create(home / "env")
    python = home / "env" / "bin" / "python"
    site = Path(sysconfig.get_path("purelib", vars={"base": str(home / "env")}))
    installed = call(*pip, "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=home)
    assert installed.returncode == 0, installed.stderr
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))  # a .pth in it is not followed
    shutil.rmtree(home / "source")
    return python.parent


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A directory of a person who has folders called cache and nas, and a static network."""
    home = tmp_path_factory.mktemp("work")
    for name in ("cache", "nas"):
        (home / name).mkdir()
        (home / name / "__init__.py").write_text("raise SystemExit('a file of the user was imported')\n")
    torch.manual_seed(0)
    save_checkpoint(home / "static.pt", StaticNetwork(len(Shapes().classes), auxiliary=False), {"miou": 0.0})
    return home


def test_the_version_and_the_packages_are_those_of_the_wheel(scripts, work):
    assert call(scripts / "dyncell", "--version", cwd=work).stdout == f"dyncell {dyncell.__version__}\n"
    code = "import dyncell, importlib.metadata as m; print(dyncell.__file__, m.version('dyncell'))"
    file, version = call(scripts / "python", "-c", code, cwd=work).stdout.split()
    assert Path(file).is_relative_to(scripts.parent)
    assert version == dyncell.__version__


def test_a_search_runs_beside_folders_called_as_our_packages_are(scripts, work):
    words = ["search", "--dataset", "shapes", "--checkpoint", "static.pt", "--run", "run", "--threads", "1"]
    words += [
        "--confirm",
        "0",
        "--trials",
        "1",
        "--blocks",
        "1",
        "--candidate.epochs",
        "2",
        "--candidate.batch",
        "32",
        "--window",
        "3",
    ]
    words += ["--fixed-points", "per_frame", "--cache-dir", "features", "--executor", "inline", "--scale", "0.25"]
    result = call(scripts / "dyncell", *words, cwd=work)
    assert result.returncode == 0, result.stderr
    log = (work / "run" / "trials.jsonl").read_text().splitlines()
    assert [json.loads(line)["status"] != "failed" for line in log] == [True] * 2
