import json
import logging
from pathlib import Path

import pytest
import torch

from cache.errors import DataError
from cache.static.network import StaticNetwork, save_checkpoint
from cache.tensor_files import save_tensors
from nas.networks.loading import load_network
from nas.runs.store import RunStore
from nas.settings.config import DataConfig, SearchConfig
from nas.settings.config_files import to_mapping
from nas.training.video.results import best_checkpoint, checkpoints


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def named(found, root):
    return {name: [str(path.relative_to(root)) for path in paths] for name, paths in found.items()}


def test_a_run_stands_for_its_retrained_networks_and_seeds_for_one(tmp_path):
    make(tmp_path, *(f"retrained/{name}/network.pt" for name in ("cell3-seed0", "cell3-seed1", "tdnet-seed0")))
    make(tmp_path, "retrained/cell3-seed0/other.pt", "retrained/broken-seed0/curve.csv")
    expected = {
        "cell3": ["retrained/cell3-seed0/network.pt", "retrained/cell3-seed1/network.pt"],
        "tdnet": ["retrained/tdnet-seed0/network.pt"],
    }
    assert named(checkpoints([tmp_path]), tmp_path) == expected
    assert named(checkpoints([tmp_path / "retrained", tmp_path]), tmp_path) == expected


def test_files_and_folders_of_networks_stand_for_themselves(tmp_path):
    make(tmp_path, "a/network.pt", "cell3-seed1/network.pt", "cell3-seed1/other.pt")
    found = checkpoints(
        [tmp_path / "a", tmp_path / "cell3-seed1" / "network.pt", tmp_path / "cell3-seed1" / "other.pt"]
    )
    assert named(found, tmp_path) == {
        "a": ["a/network.pt"],
        "cell3": ["cell3-seed1/network.pt"],
        "cell3-other": ["cell3-seed1/other.pt"],
    }


def test_networks_that_ship_have_the_names_that_they_are_called_by():
    assert list(checkpoints([Path("camvid-cell"), Path("camvid")])) == ["camvid-cell", "camvid"]


def test_equal_names_of_two_runs_are_told_apart(tmp_path):
    make(tmp_path, "one/retrained/cell3-seed0/network.pt", "two/retrained/cell3-seed0/network.pt")
    assert list(checkpoints([tmp_path / "one", tmp_path / "two"])) == ["one/retrained/cell3", "two/retrained/cell3"]


def test_an_unfinished_training_is_said(tmp_path, caplog):
    make(tmp_path, "cell3-seed0/network.pt", "cell3-seed0/training.pt")
    assert list(checkpoints([tmp_path])) == ["cell3"]
    assert "is the best so far of a training that has not ended" in caplog.text


def test_of_a_run_the_network_with_the_best_score_is_taken(tmp_path):
    make(tmp_path, *(f"retrained/{name}/network.pt" for name in ("a-seed0", "a-seed1", "b-seed0")))
    for name, scores in (("a-seed0", (0.1, 0.5)), ("a-seed1", (0.7, 0.3)), ("b-seed0", (0.6,))):
        rows = "".join(f"{epoch},{score}\n" for epoch, score in enumerate(scores))
        (tmp_path / "retrained" / name / "curve.csv").write_text("epoch,miou\n" + rows)
    assert best_checkpoint(tmp_path) == tmp_path / "retrained" / "a-seed1" / "network.pt"
    file = tmp_path / "retrained" / "b-seed0" / "network.pt"
    assert best_checkpoint(file) == best_checkpoint(file.parent) == file
    (file.parent / "curve.csv").unlink()
    with pytest.raises(DataError, match=r"does not say how .* scores; name one network"):
        best_checkpoint(tmp_path)


def test_of_a_run_with_cells_a_cell_is_taken_though_the_per_frame_network_scores_more(tmp_path):
    for name, score in (("per_frame-seed0", 0.9), ("cell3-seed0", 0.5), ("cell12-other-seed0", 0.7)):
        make(tmp_path, f"retrained/{name}/network.pt")
        (tmp_path / "retrained" / name / "curve.csv").write_text(f"epoch,miou\n0,{score}\n")
    assert best_checkpoint(tmp_path) == tmp_path / "retrained" / "cell12-other-seed0" / "network.pt"


@pytest.fixture
def run_of_two(tmp_path, request):
    """A run on the parameter's data, and in it a cell of its own and the same one adapted to `night`, which agrees."""
    dataset, noted = request.param
    with RunStore.open(tmp_path, identity={}, config=to_mapping(SearchConfig(data=DataConfig(dataset=dataset)))):
        pass
    facts = {"cell12": ({"dataset": dataset}, 0.6), "cell12-night": ({"dataset": "video"} | noted, 0.97)}
    for name, (stored, score) in facts.items():
        folder = tmp_path / "retrained" / f"{name}-seed0"
        save_tensors(folder / "network.pt", {"meta": json.dumps(stored)})
        (folder / "curve.csv").write_text(f"epoch,miou\n0,{score}\n")
    return tmp_path


@pytest.mark.parametrize(
    "run_of_two",
    [("camvid", {}), ("camvid", {"adapted": True}), ("video", {"adapted": True}), ("video", {"before": 0.9})],
    indirect=True,
    ids=["of before", "from labels", "from a video", "from a video, of before"],
)
def test_a_run_stands_for_its_own_networks_and_not_for_those_adapted_to_another_video(run_of_two, caplog):
    caplog.set_level(logging.INFO)
    own, adapted = (run_of_two / "retrained" / f"{name}-seed0" for name in ("cell12", "cell12-night"))
    for folder in (run_of_two, run_of_two / "retrained"):
        assert checkpoints([folder]) == {"cell12": [own / "network.pt"]}
        assert best_checkpoint(folder) == own / "network.pt"
    assert "left out, as they learnt from another video" in caplog.text
    assert best_checkpoint(adapted) == adapted / "network.pt"
    assert list(checkpoints([run_of_two, adapted])) == ["cell12", "cell12-night"]
    (own / "network.pt").unlink()
    with pytest.raises(DataError, match="was trained for the data of the run: cell12-night-seed0 learnt from another"):
        best_checkpoint(run_of_two)


@pytest.mark.parametrize("run_of_two", [("camvid", {})], indirect=True)
def test_a_network_of_a_run_that_says_nothing_of_itself_is_named(run_of_two):
    save_tensors(run_of_two / "retrained" / "cell3-seed0" / "network.pt", {"weights": {}})
    with pytest.raises(DataError, match=r"cell3-seed0/network\.pt is damaged, or no network: it has no facts"):
        checkpoints([run_of_two])


@pytest.mark.parametrize(("name", "reason"), [(".", "no trained network in"), ("gone", "no file or folder")])
def test_nothing_there_is_said_with_the_way_out(tmp_path, name, reason):
    with pytest.raises(DataError, match=rf"there is {reason} .*; `python -m nas\.retrain --run RUN` makes networks"):
        checkpoints([tmp_path / name])


def test_a_network_has_to_have_the_classes_of_the_data(tmp_path):
    static = StaticNetwork(3, auxiliary=False).eval()
    save_checkpoint(tmp_path / "network.pt", static, {"classes": ["a", "b", "c"]})
    network, meta = load_network(tmp_path / "network.pt", 3)
    images = torch.zeros(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(network.first(images)[0], static(images))
        assert torch.equal(network.later(images, ())[0], static(images))
    assert meta["classes"] == ["a", "b", "c"]
    with pytest.raises(DataError, match="has 3 classes, but the data has 2; evaluate it on the data set"):
        load_network(tmp_path / "network.pt", 2)
