"""What may be automatic is written "auto", and becomes a number in one place."""

from dataclasses import asdict

import pytest
import torch

from nas.settings import compute as machine
from nas.settings.automatic import load_space, require_number, resolve_auto
from nas.settings.compute import Compute
from nas.settings.config import CandidateConfig, DataConfig, SearchConfig, SpaceConfig
from nas.settings.config_files import from_mapping
from nas.settings.errors import RunError
from nas.settings.machine_config import ComputeConfig, MachineConfig
from nas.settings.older_files import AUTO_WAS, respell
from nas.settings.retrain_config import RecipeConfig, RetrainConfig
from searchspace.space import Space

CPU = Compute(torch.device("cpu"), None)


@pytest.fixture(autouse=True)
def eight_cores_and_16_gib(monkeypatch):
    monkeypatch.setattr(machine, "usable_cores", lambda: 8)
    monkeypatch.setattr(machine, "usable_memory", lambda: 2**34)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.mark.parametrize(("workers", "threads", "memory"), [(1, 8, 8.0), (3, 2, 2.7), (16, 1, 0.5)])
def test_workers_share_the_cores_and_half_of_the_memory(workers, threads, memory):
    config = resolve_auto(SearchConfig(machine=MachineConfig(workers=workers)), CPU, Space.load("paper"))
    assert (config.compute.threads, config.candidate.max_memory) == (threads, memory)


@pytest.mark.parametrize(("space", "window"), [("paper", 3), ("video", 1 + Space.load("video").slots)])
def test_a_window_fills_the_memory_of_the_space(space, window):
    assert resolve_auto(SearchConfig(), CPU, Space.load(space)).data.window == max(3, window)


def test_what_is_said_stays_as_it_is():
    said = SearchConfig(
        data=DataConfig(window=2, refresh=4),
        candidate=CandidateConfig(max_memory=0.25),
        compute=ComputeConfig(device="cpu", precision="float32", threads=5),
    )
    assert resolve_auto(said, CPU, Space.load("video")) == said


def test_only_what_others_resolve_stays_automatic():
    config = asdict(resolve_auto(SearchConfig(), CPU, Space.load("paper")))
    left = {
        (name, each) for name, part in config.items() if isinstance(part, dict) for each in part if part[each] == "auto"
    }
    assert left == {("space", "blocks"), ("machine", "cache_memory"), ("machine", "executor")}


def test_blocks_are_the_space_s_own_unless_they_are_said():
    assert load_space(SpaceConfig(space="paper")) == Space.load("paper")
    assert load_space(SpaceConfig(space="paper", blocks=2)) == Space.load("paper", blocks=2)


def test_a_setting_that_is_still_automatic_is_refused_where_a_number_is_needed():
    with pytest.raises(RunError, match=r"is `auto` where its number is needed"):
        require_number(SearchConfig().data.window)


SIGNS = [(section, name, sign) for section, signs in AUTO_WAS.items() for name, sign in signs.items()]


@pytest.mark.parametrize(("section", "name", "sign"), SIGNS)
def test_what_earlier_versions_wrote_for_auto_is_read_as_auto(section, name, sign):
    kind = RetrainConfig if section == "retrain" else SearchConfig
    read = from_mapping(kind, {section: {name: sign}}, "an older run")
    assert read == kind()
    assert getattr(getattr(read, section), name) == "auto"


def test_other_zeros_and_values_stay():
    settings = {
        "data": {"window": 4, "scale": 0},
        "seed": 0,
        "ppo": {"entropy": 0.0},
        "retrain": {"crop": 0},
        "data2": 1,
    }
    assert respell(settings) == settings
    assert respell({"data": {"window": False}}) == {"data": {"window": False}}


@pytest.mark.parametrize(
    "make",
    [
        lambda: DataConfig(window=0),
        lambda: RecipeConfig(window=1),
        lambda: SpaceConfig(blocks=0),
        lambda: CandidateConfig(max_memory=0),
        lambda: ComputeConfig(threads=0),
        lambda: MachineConfig(cache_memory=0),
    ],
)
def test_nought_is_not_automatic_any_more_and_auto_is_named(make):
    with pytest.raises(RunError, match=r", or auto, but got [01]"):
        make()


def test_a_number_written_as_text_is_a_number_and_anything_else_is_refused():
    read = from_mapping(SearchConfig, {"machine": {"cache_memory": "1e-3"}, "candidate": {"max_memory": 2}}, "test")
    assert (read.machine.cache_memory, read.candidate.max_memory) == (1e-3, 2.0)
    for section in (
        {"machine": {"cache_memory": "much"}},
        {"data": {"window": "long"}},
        {"compute": {"threads": None}},
    ):
        with pytest.raises(RunError):
            from_mapping(SearchConfig, section, "test")
