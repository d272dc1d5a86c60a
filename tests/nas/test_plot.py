import csv
import subprocess
import sys

import pytest

from nas.plot import Arguments, main
from nas.reporting.search.plots import draw, save
from nas.runs.store import RunStore
from nas.runs.trial import Trial
from nas.settings.config import SearchConfig, SpaceConfig
from nas.settings.config_files import to_mapping
from nas.settings.errors import RunError
from searchspace.choices import Choice
from searchspace.space import Space

SKIP, POOL, CONCAT, GATE = map(Choice, ("skip", "global_pool", "concat", "attention_gate"))
SMALL = Space("small", 1, ("past.dec", "cur.layer2"), (SKIP, POOL), (CONCAT, GATE))
FAILED = {"status": "failed", "error": "crash: gone"}
FLOOR = Trial(fixed_point="per_frame", status="finished", reward=0.5, cost={"parameters": 10.0, "macs": 20.0})


def trial(number, tokens, reward, parameters=1000.0, *, status="finished", repeat_of=None):
    fields = FAILED if reward is None else {"status": status, "reward": reward, "cost": {"parameters": parameters}}
    return Trial(number=number, genotype=SMALL.genotype(tokens), repeat_of=repeat_of, **fields)


LOG = [
    trial(1, (0, 1, 0, 1, 1), 0.75, 900.0),
    trial(0, (0, 0, 0, 0, 0), 0.25),
    FLOOR,
    trial(2, (1, 1, 1, 1, 0), None),
    trial(3, (1, 1, 0, 0, 0), 0.5, 500.0, status="early_stopped"),
    trial(4, (0, 1, 0, 1, 1), 0.75, 900.0, repeat_of=1),
]
SHARES = [  # of trials 0 to 4, worked out by hand
    ["operation", "skip", "0", "4", "0.6"],
    ["operation", "global_pool", "0", "4", "0.4"],
    ["aggregation", "concat", "0", "4", "0.6"],
    ["aggregation", "attention_gate", "0", "4", "0.4"],
    ["input", "past.dec", "0", "4", "0.4"],
    ["input", "cur.layer2", "0", "4", "0.6"],
]


def table(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_a_log_becomes_pictures_and_the_numbers_beside_them(tmp_path):
    written = save(draw(LOG, SMALL, "product"), tmp_path)
    names = ("rewards", "sampling", "cells", "pareto")
    assert {path.name for path in written} == {f"{name}.{kind}" for name in names for kind in ("png", "svg", "csv")}
    assert sorted(written) == sorted((tmp_path / "plots").iterdir())
    assert all(path.stat().st_size > 100 for path in written)
    assert [path.stem for path in written if path.suffix == ".png"] == list(names)

    assert table(tmp_path / "plots" / "rewards.csv") == [
        ["trial", "status", "repeat_of", "reward", "best_so_far", "moving_mean"],
        ["0", "finished", "", "0.25", "0.25", "0.25"],
        ["1", "finished", "", "0.75", "0.75", "0.5"],
        ["2", "failed", "", "", "", ""],
        ["3", "early_stopped", "", "0.5", "0.75", "0.5"],
        ["4", "finished", "1", "0.75", "0.75", "0.5625"],
        ["per_frame", "finished", "", "0.5", "", ""],
    ]
    assert table(tmp_path / "plots" / "pareto.csv") == [
        ["trial", "status", "reward", "worth", "parameters", "on_front_of_parameters"],
        ["1", "finished", "0.75", "0.75", "900.0", "1"],
        ["3", "early_stopped", "0.5", "0.5", "500.0", "0"],
        ["0", "finished", "0.25", "0.25", "1000.0", "0"],
        ["per_frame", "finished", "0.5", "0.5", "10.0", "1"],
    ]
    assert table(tmp_path / "plots" / "sampling.csv") == [
        ["kind", "choice", "first_trial", "last_trial", "share", "share_if_uniform"],
        *([*row, "0.5"] for row in SHARES for _ in ("the only window", "all trials")),
    ]
    assert table(tmp_path / "plots" / "cells.csv")[1] == (
        ["1", "1", "0.75", "0", "past.dec", "skip", "cur.layer2", "global_pool", "attention_gate"]
    )


def test_a_search_that_only_failed_so_far_shows_what_was_sampled(tmp_path):
    written = save(draw([FLOOR, trial(0, (0, 0, 0, 0, 0), None)], SMALL, "product"), tmp_path)
    assert [path.name for path in written] == ["sampling.png", "sampling.svg", "sampling.csv"]


@pytest.mark.parametrize("trials", [[], [FLOOR]], ids=["empty log", "fixed points only"])
def test_nothing_sampled_is_said_and_nothing_is_written(tmp_path, trials):
    with RunStore.open(tmp_path, identity={}, config=to_mapping(SearchConfig())) as store:
        for each in trials:
            store.append(each)
    with pytest.raises(RunError, match=r"holds no sampled trial yet, so there is nothing to draw; run nas\.search"):
        main(Arguments(run=tmp_path))
    assert not (tmp_path / "plots").exists()


def test_the_command_reads_a_run_directory_of_a_single_trial(tmp_path):
    config = SearchConfig(space=SpaceConfig(blocks=1))
    with RunStore.open(tmp_path / "run", identity={}, config=to_mapping(config)) as store:
        store.append(trial(0, (0, 0, 0, 0, 0), 0.5))
        main(Arguments(run=tmp_path / "run"))  # while a search holds the run
    assert len(table(tmp_path / "run" / "plots" / "rewards.csv")) == 2


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match=str(tmp_path)):
        main(Arguments(run=tmp_path))


def test_help_loads_neither_torch_nor_matplotlib():
    code = "import sys, nas.plot; print([m for m in ('torch', 'matplotlib') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
