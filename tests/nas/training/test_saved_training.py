"""Checks on what a stopped training goes on from; the trainings themselves are tested where they are."""

import time

import pytest
import torch

from cache.errors import DataError
from cache.tensor_files import save_tensors
from nas.training.saved_training import SavedTraining, is_unfinished


def saved(folder, value=0.0):
    part = torch.nn.Linear(1, 1)
    torch.nn.init.constant_(part.weight, value)
    return SavedTraining(folder, "some", {"part": part}), part


def test_a_training_is_unfinished_from_its_beginning_to_its_end(tmp_path):
    assert not is_unfinished(tmp_path)
    training, _ = saved(tmp_path)
    assert is_unfinished(tmp_path)
    training.finish()
    assert not is_unfinished(tmp_path)


def test_parts_curve_and_time_go_on_where_they_were_saved(tmp_path):
    first, part = saved(tmp_path, 1.0)
    assert (first.epochs, first.best) == (0, -1.0)
    assert first.add(2, {"miou": 0.5})
    assert not first.add(4, {"miou": 0.5})
    first.save()
    seconds = first.curve[-1]["seconds"]
    second, part = saved(tmp_path)
    assert part.weight.item() == 1.0
    assert (second.epochs, second.best) == (4, 0.5)
    assert second.add(6, {"miou": 0.6})
    assert second.curve[-1]["seconds"] >= seconds
    assert (tmp_path / "curve.csv").read_text().splitlines()[0] == "epoch,miou,seconds"


def test_the_time_left_counts_the_work_of_this_process_alone(tmp_path, monkeypatch):
    first, _ = saved(tmp_path)
    first.add(4, {"miou": 0.5})
    first.save()
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    training, _ = saved(tmp_path)
    now += 10  # seconds for two epochs
    training.add(6, {"miou": 0.5})
    assert training.time_left(10) == "20 s"
    assert training.time_left(10, work=lambda epochs: epochs**2) == "32 s"  # 10 * (100 - 36) / (36 - 16)


def test_a_damaged_state_is_named(tmp_path):
    (tmp_path / "training.pt").write_bytes(b"no tensors")
    with pytest.raises(DataError, match=r"training\.pt"):
        saved(tmp_path)


@pytest.mark.parametrize(
    "state",
    [
        {"curve": []},
        {"part": {}, "curve": []},
        {"part": torch.nn.Linear(2, 1).state_dict(), "curve": []},
        {"part": torch.nn.Linear(1, 1).state_dict()},
        {"part": torch.nn.Linear(1, 1).state_dict(), "curve": [1]},
    ],
    ids=["no part", "an empty part", "another shape", "no curve", "no rows"],
)
def test_the_state_of_another_training_is_refused(tmp_path, state):
    save_tensors(tmp_path / "training.pt", state)
    with pytest.raises(DataError, match=r"training\.pt is of another training .*, or remove its folder to begin anew"):
        saved(tmp_path)


def test_the_state_of_an_optimiser_that_is_implemented_in_another_way_is_refused(tmp_path):
    def saved_with(fused):
        optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], fused=fused)
        return SavedTraining(tmp_path, "some", {"optimizer": optimizer})

    saved_with(fused=True)
    saved_with(fused=True)
    with pytest.raises(DataError, match=r"implemented in another way.*remove its folder"):
        saved_with(fused=False)
