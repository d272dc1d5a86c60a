import dataclasses
from pathlib import Path

import pytest
import yaml

from nas.settings.config import SearchConfig, StaticConfig
from nas.settings.config_files import (
    anchored,
    from_mapping,
    overlay,
    read_mapping,
    to_mapping,
    write_mapping,
)
from nas.settings.errors import RunError
from nas.settings.machine_config import MachineConfig
from nas.settings.strategy_config import PPOConfig


def test_a_configuration_survives_the_trip_through_yaml(tmp_path):
    config = SearchConfig(
        static=StaticConfig(encoder_weights=tmp_path / "w.pt", scale_range=(0.7, 1.4)),
        ppo=PPOConfig(learning_rate=1e-5),
        trials=7,
    )
    text = yaml.safe_dump(to_mapping(config))
    assert from_mapping(SearchConfig, yaml.safe_load(text), "test") == config


def test_a_run_keeps_paths_that_mean_the_same_from_every_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.pt").touch()
    machine = MachineConfig(data_root=Path("data"), cache_dir=Path("../cache"))
    static = StaticConfig(checkpoint=Path("mine.pt"), encoder_weights=Path("w.pt"))
    kept = anchored(SearchConfig(machine=machine, static=static))
    assert kept.machine.data_root == tmp_path / "data"
    assert kept.machine.cache_dir.resolve() == tmp_path.parent / "cache"
    assert (kept.static.checkpoint, kept.static.encoder_weights) == (tmp_path / "mine.pt", tmp_path / "w.pt")


def test_the_name_of_a_network_that_ships_is_no_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("camvid").mkdir()  # the data, say
    kept = anchored(SearchConfig(static=StaticConfig(checkpoint=Path("camvid"))))
    assert (kept.static.checkpoint, kept.machine.data_root) == (Path("camvid"), None)


def test_yaml_floats_without_a_point_are_numbers():
    # YAML 1.1 reads 1e-3 as a string, which has bitten every user of it once.
    settings = yaml.safe_load("ppo: {learning_rate: 1e-3}\ndata: {scale: 1}")
    config = from_mapping(SearchConfig, settings, "test")
    assert (config.ppo.learning_rate, config.data.scale) == (0.001, 1.0)


def test_later_layers_win_setting_by_setting():
    layers = [{"static": {"epochs": 3, "batch": 4}, "seed": 1}, {"static": {"batch": 8}}]
    assert overlay(layers) == {"static": {"epochs": 3, "batch": 8}, "seed": 1}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"nonsense": {}}, ["nonsense"]),
        ({"retrain": {}}, ["retrain"]),
        ({"ppo": {"clipp": 0.1}}, ["clipp"]),
        ({"ppo": {"clip": 2.0}}, ["ppo.clip", "(0, 1)", "2.0"]),
        ({"ppo": {"clip": "wide"}}, ["wide"]),
        ({"trials": "many"}, ["trials", "many"]),
        ({"candidate": {"epochs": 7}}, ["candidate.epochs", "even"]),
        ({"data": {"dataset": "imagenet"}}, ["dataset", "imagenet"]),
    ],
)
def test_a_wrong_setting_is_named_with_its_source(settings, words):
    with pytest.raises(RunError) as caught:
        from_mapping(SearchConfig, settings, "my.yaml")
    assert all(word in str(caught.value) for word in ["my.yaml", *words])


@pytest.mark.parametrize("content", ["[1, 2]", "a: [", "just text", "\x80"])
def test_a_file_that_is_no_mapping_is_refused_by_name(tmp_path, content):
    path = tmp_path / "preset.yaml"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(RunError, match=r"preset\.yaml"):
        read_mapping(path)


def test_a_changed_file_is_refused_unless_the_checksum_is_taken_off(tmp_path):
    path = tmp_path / "config.yaml"
    write_mapping(path, {"trials": 40, "name": "Größe", "sizes": (1, 2)})
    assert read_mapping(path) == {"trials": 40, "name": "Größe", "sizes": [1, 2]}
    path.write_text(path.read_text().replace("40", "41"))
    with pytest.raises(RunError, match=r"config\.yaml is not as it was written, .* or remove that line"):
        read_mapping(path)
    path.write_text(path.read_text().partition("\n")[2])
    assert read_mapping(path)["trials"] == 41


@pytest.mark.parametrize("share", [0, 0.2, 0.5, 0.99])
def test_a_file_that_was_cut_off_is_refused(tmp_path, share):
    path = tmp_path / "config.yaml"
    write_mapping(path, to_mapping(SearchConfig()))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(RunError, match=r"config\.yaml"):
        read_mapping(path)


def test_settings_have_a_sentence_each():
    for section in dataclasses.fields(SearchConfig):
        config = getattr(SearchConfig(), section.name)
        if dataclasses.is_dataclass(config):
            assert type(config).__doc__
