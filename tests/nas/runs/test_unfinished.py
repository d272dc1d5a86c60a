"""A search that names no directory goes on with its own unfinished run, on whatever day, and with no other."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nas.runs.confirmation import missing
from nas.runs.store import RunStore
from nas.runs.trial import Trial
from nas.runs.unfinished import default_directory
from nas.settings.automatic import load_space, resolve_auto
from nas.settings.compute import Compute
from nas.settings.config import DataConfig, SearchConfig
from nas.settings.config_files import identity, to_mapping
from searchspace.space import Space

CELL = Space.load("paper", blocks=1).uniform(np.random.default_rng(0))
CONFIG = SearchConfig(data=DataConfig(dataset="shapes"), trials=2, confirm=0)


def make(directory, config=CONFIG, trials=1):
    with RunStore.open(directory, identity=identity(config), config=to_mapping(config)) as store:
        for number in range(trials):
            store.append(Trial(number=number, genotype=CELL, status="finished", reward=0.5))
    return directory


def test_a_run_of_an_earlier_day_goes_on(tmp_path):
    old = make(tmp_path / "shapes-2020-01-01-0")
    assert default_directory(tmp_path, "shapes", CONFIG, CONFIG) == old


def test_a_run_whose_best_cells_are_still_to_be_confirmed_goes_on(tmp_path):
    old, config = make(tmp_path / "shapes-2020-01-01-0", trials=2), replace(CONFIG, confirm=1, confirm_seeds=2)
    assert default_directory(tmp_path, "shapes", config, config) == old
    with RunStore.open(old, identity=identity(config), config=to_mapping(config)) as store:
        for trial, seed in missing(store.trials, config):
            store.append(Trial(confirms=trial.name, genotype=CELL, status="finished", reward=0.5, seed=seed))
    assert default_directory(tmp_path, "shapes", config, config) != old


def test_the_newest_of_several_goes_on(tmp_path):
    _, newer = make(tmp_path / "shapes-2020-01-01-0"), make(tmp_path / "shapes-2020-01-02-0")
    assert default_directory(tmp_path, "shapes", CONFIG, CONFIG) == newer


@pytest.mark.parametrize(
    ("config", "trials"),
    [
        pytest.param(CONFIG, 2, id="finished"),
        pytest.param(SearchConfig(data=DataConfig(dataset="shapes", scale=0.5), confirm=0), 1, id="other settings"),
    ],
)
def test_a_run_that_is_finished_or_of_other_settings_is_left_alone(tmp_path, config, trials):
    old = make(tmp_path / "shapes-2020-01-01-0", config, trials)
    new = default_directory(tmp_path, "shapes", CONFIG, CONFIG)
    assert new != old
    assert new.name.startswith("shapes-20")
    assert new.name.endswith("-0")


def test_a_run_goes_on_with_other_workers_unless_it_is_said_what_they_may_take(tmp_path):
    def resolved(asked, workers):
        more = replace(asked, machine=replace(asked.machine, workers=workers))
        return resolve_auto(more, Compute(torch.device("cpu"), None), load_space(asked.space))

    old = make(tmp_path / "shapes-2020-01-01-0", resolved(CONFIG, workers=1))
    assert default_directory(tmp_path, "shapes", resolved(CONFIG, workers=5), CONFIG) == old
    said = replace(CONFIG, candidate=replace(CONFIG.candidate, max_memory=0.1))
    assert default_directory(tmp_path, "shapes", resolved(said, workers=1), said) != old


def test_a_damaged_run_is_left_alone(tmp_path):
    old = make(tmp_path / "shapes-2020-01-01-0")
    (old / "config.yaml").write_text("a: [")
    assert default_directory(tmp_path, "shapes", CONFIG, CONFIG) != old


def test_a_run_is_called_as_its_data_are_and_goes_on_with_no_other_data(tmp_path):
    make(tmp_path / "shapes-2020-01-01-0")
    assert default_directory(tmp_path, "walks", CONFIG, CONFIG).name.startswith("walks-20")


def test_data_whose_names_begin_alike_or_hold_signs_of_patterns_are_told_apart(tmp_path):
    make(tmp_path / "walks-rain-2020-01-01-0")
    assert default_directory(tmp_path, "walks", CONFIG, CONFIG).name.startswith("walks-20")
    old = make(tmp_path / "walks [1]-2020-01-01-0")
    assert default_directory(tmp_path, "walks [1]", CONFIG, CONFIG) == old
