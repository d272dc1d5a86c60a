"""The command `python -m nas.manage_cache`: whose is what, and that nothing is removed that somebody may need."""

import fcntl
import io

import numpy as np
import pytest
import torch

from cache.features import FeatureCache
from cache.static.network import StaticNetwork, load_checkpoint, save_checkpoint, weights_fingerprint
from nas.manage_cache import Arguments, contents, main, users
from nas.runs.store import RunStore
from nas.settings.config import SearchConfig
from nas.settings.config_files import identity, to_mapping
from nas.settings.errors import RunError


@pytest.fixture
def home(tmp_path):
    """Two static networks with their features; a run was made from the first."""
    for name, seed in (("used", 0), ("idle", 1)):
        torch.manual_seed(seed)
        path = tmp_path / "cache" / "static" / f"shapes-{name}" / "network.pt"
        save_checkpoint(path, StaticNetwork(3, auxiliary=False), {"dataset": "shapes"})
        spec = {"network": weights_fingerprint(load_checkpoint(path)[0]), "data set": "shapes"}
        features = tmp_path / "cache" / "features" / f"shapes-{name}.h5"
        FeatureCache.build(features, f"print-{name}", spec, ["frame"], [{"dec": np.zeros((1, 2, 2, 4), np.float16)}])
    make_run(tmp_path / "runs" / "mine", "print-used")
    return tmp_path


def make_run(directory, features):
    config = SearchConfig()
    with RunStore.open(directory, identity=identity(config), config=to_mapping(config)) as store:
        if features:
            store.bind("features", features)


def owners(home):
    items = contents(home / "cache", users([home / "runs"]))
    return {f"{item.kind} {item.path.stem.partition('-')[2]}": item.users for item in items}


def prune(home, **flags):
    main(Arguments(runs=(home / "runs",), cache_dir=home / "cache", prune=True, **flags))


def test_everything_is_listed_with_its_size_and_the_runs_made_from_it(home, capsys):
    mine = (str(home / "runs" / "mine"),)
    assert owners(home) == {
        "features used": mine,
        "features idle": (),
        "static network used": mine,
        "static network idle": (),
    }
    main(Arguments(runs=(home / "runs",), cache_dir=home / "cache"))
    said = capsys.readouterr().out
    size = sum(path.stat().st_size for path in (home / "cache" / "static" / "shapes-idle").iterdir())
    [line] = [line.split() for line in said.splitlines() if "static/shapes-idle" in line]
    assert line[3:5] == ["shapes", f"{size / 1e6:.1f}"]
    assert line[-2:] == ["no", "run"]


def test_what_no_run_uses_is_removed_and_nothing_else(home, capsys):
    prune(home, yes=True)
    assert capsys.readouterr().out.endswith("removed 2 of 4\n")
    assert owners(home).keys() == {"features used", "static network used"}
    prune(home, yes=True)
    assert len(owners(home)) == 2


@pytest.mark.parametrize("features", [None, "print-gone"], ids=["a run that has just begun", "features elsewhere"])
def test_a_run_whose_features_are_not_here_may_need_any_static_network(home, features):
    make_run(home / "runs" / "other", features)
    prune(home, yes=True)
    assert owners(home).keys() == {"features used", "static network used", "static network idle"}


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("answer", "left"), [("y\n", 2), ("n\n", 4), ("\n", 4)])
def test_a_person_is_asked_first(home, answer, left, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    prune(home)
    assert "Remove 2 that no run in" in capsys.readouterr().out
    assert len(owners(home)) == left


def test_nothing_is_removed_where_nobody_can_answer(home, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(RunError, match="there is nobody to ask; --yes goes on without it"):
        prune(home)
    assert len(owners(home)) == 4


def test_a_run_that_cannot_be_read_may_use_anything(home):
    (home / "runs" / "mine" / "config.yaml").write_text("- no settings\n")
    with pytest.raises(RunError, match="must hold settings by section"):
        prune(home, yes=True)
    assert len(list(home.glob("cache/*/*"))) == 4


def test_what_another_process_makes_is_left_alone(home):
    path = home / "cache" / "features" / "shapes-idle.h5"
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="another process is making"):
            prune(home, yes=True)
    assert path.exists()


def test_a_lock_that_others_may_wait_for_stays_the_lock(home):
    lock = home / "cache" / "static" / "shapes-idle" / "network.pt.lock"
    lock.touch()
    before = lock.stat().st_ino
    prune(home, yes=True)
    assert [path.name for path in lock.parent.iterdir()] == [lock.name]
    assert lock.stat().st_ino == before


def test_damaged_files_are_nobodys(home):
    path = home / "cache" / "features" / "shapes-idle.h5"
    path.write_bytes(path.read_bytes()[:100])
    assert owners(home)["features idle"] == ()


def test_an_empty_cache_is_no_mistake(tmp_path, capsys):
    main(Arguments(runs=(tmp_path,), cache_dir=tmp_path / "absent", prune=True))
    assert capsys.readouterr().out == f"{tmp_path / 'absent'}: 0.00 GB\n"
