"""The command `python -m nas.list_runs`, over runs of which everything is known."""

import os
import time

import numpy as np
import pytest

from nas.list_runs import HEADERS, Arguments, main
from nas.runs.store import TRIALS, RunStore
from nas.runs.trial import Trial
from nas.settings.config import DataConfig, SearchConfig, SpaceConfig
from nas.settings.config_files import identity, to_mapping
from nas.settings.errors import RunError
from searchspace.space import Space

OWN = SearchConfig(space=SpaceConfig(space="paper", blocks=1), trials=9, data=DataConfig(dataset="folder"))


def make_run(directory, rewards, hours, **settings):
    config = SearchConfig(space=SpaceConfig(space="paper", blocks=1), trials=9, **settings)
    space, rng = Space.load("paper", blocks=1), np.random.default_rng(0)
    with RunStore.open(directory, identity=identity(config), config=to_mapping(config)) as store:
        for number, reward in enumerate(rewards):
            metrics = {"miou": reward / 2, "agreement_miou": reward / 4}
            cell = space.uniform(rng)
            store.append(Trial(number=number, genotype=cell, status="finished", reward=reward, metrics=metrics))
    written = time.time() - 3600 * hours
    os.utime(directory / (TRIALS if rewards else "config.yaml"), (written, written))


def test_a_search_that_was_prolonged_has_no_more_trials_than_were_asked_for(tmp_path, capsys):
    make_run(tmp_path / "long", [0.5] * 11, hours=1)  # its settings are those that it was created with: 9 trials
    main(Arguments(folder=tmp_path))
    assert " 11/11 " in capsys.readouterr().out


def test_runs_are_listed_with_data_progress_and_best_cell_the_newest_first(tmp_path, capsys, caplog):
    make_run(tmp_path / "old", [0.25, 0.75, 0.5], hours=50, strategy="random", seed=3)
    make_run(tmp_path / "deep" / "new", [], hours=2, data=DataConfig(dataset="camvid"))
    for name in ("cell1-seed0/network.pt", "cell2-seed0/network.pt", "cell2-seed0/training.pt"):  # one is not finished
        file = tmp_path / "old" / "retrained" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.yaml").write_text("- no settings\n")
    main(Arguments(folder=tmp_path))
    header, _, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == [word for each in HEADERS for word in each.split()]
    data = SearchConfig().data.dataset
    assert [line.split() for line in lines] == [
        [str(tmp_path / "deep" / "new"), "camvid", "ppo", "0", "0/9", *"----", "2", "h", "00", "min", "ago"],
        [
            str(tmp_path / "old"),
            data,
            "random",
            "3",
            "3/9",
            "#1",
            "0.7500",
            "mIoU",
            "37.5",
            "%",
            "1",
            "50",
            "h",
            "00",
            "min",
            "ago",
        ],
    ]
    assert "left out: " in caplog.text
    assert "broken" in caplog.text


def test_runs_on_videos_have_agreement_and_runs_on_one_s_own_data_their_name(tmp_path, capsys):
    make_run(tmp_path / "filmed", [0.5], hours=1, data=DataConfig(dataset="video"))
    make_run(tmp_path / "own", [0.5], hours=2, data=DataConfig(dataset="folder"))
    with RunStore.open(tmp_path / "own", identity=identity(OWN), config=to_mapping(OWN)) as store:
        store.bind("data", "walks")
    main(Arguments(folder=tmp_path))
    _, _, filmed, own = (line.split() for line in capsys.readouterr().out.splitlines())
    assert (filmed[1], filmed[7:10]) == ("video", ["agreement", "12.5", "%"])
    assert (own[1], own[7:10]) == ("walks", ["mIoU", "25.0", "%"])


def test_a_folder_without_runs_is_said_to_have_none(tmp_path):
    with pytest.raises(RunError, match=r"there is no run in .*`python -m nas\.search` makes one"):
        main(Arguments(folder=tmp_path / "absent"))
