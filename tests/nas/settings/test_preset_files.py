"""Presets are for all commands at once, so each takes its own part, and what is no command's is a mistake."""

import pytest

from nas.settings.config import PretrainConfig, SearchConfig
from nas.settings.config_files import from_mapping
from nas.settings.errors import RunError
from nas.settings.preset_files import preset_names, preset_path, read_preset
from nas.settings.retrain_config import RetrainConfig


@pytest.mark.parametrize("name", preset_names())
@pytest.mark.parametrize("config", [SearchConfig, PretrainConfig, RetrainConfig])
def test_every_preset_fits_every_command(name, config):
    from_mapping(config, read_preset(name, config), name)


def test_an_unknown_preset_is_answered_with_the_known_ones():
    with pytest.raises(RunError, match="laptop"):
        preset_path("laptopp")


def test_a_command_takes_its_own_part_of_a_preset_of_ones_own(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("trials: 7\nretrain: {epochs: 3}\nseed: 1\n")
    assert read_preset(str(path), SearchConfig) == {"trials": 7, "seed": 1}
    assert read_preset(str(path), PretrainConfig) == {"seed": 1}
    assert read_preset(str(path), RetrainConfig) == {"retrain": {"epochs": 3}}


def test_a_preset_file_that_is_not_there_is_named():
    with pytest.raises(RunError, match=r"there is no preset file absent\.yaml"):
        preset_path("absent.yaml")


@pytest.mark.parametrize("config", [SearchConfig, PretrainConfig, RetrainConfig])
def test_a_section_that_no_command_has_is_refused_by_every_command(config, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("candidates: {epochs: 4}\n")
    with pytest.raises(RunError, match=r"mine\.yaml: no command has a section or setting 'candidates'; .*candidate"):
        read_preset(str(path), config)
