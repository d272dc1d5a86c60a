"""A disk with every amount of room left, and one that cannot be written: what was there stays, nothing half is left."""

import contextlib
import os
import re
import subprocess

import numpy as np
import pytest
import torch

from cache.features import FeatureCache
from cache.sealed import CacheMismatch
from cache.tensor_files import load_tensors, save_tensors
from nas.labelled_video.folder import segmented_recording
from nas.runs.store import RunStore, read_trials
from nas.runs.tensorboard import Curves
from nas.runs.trial import Trial
from nas.settings.config import SearchConfig
from nas.settings.config_files import read_mapping, to_mapping, write_mapping
from nas.settings.errors import RunError
from nas.training.saved_training import SavedTraining

pytestmark = pytest.mark.drill
SIZE, STEP = 1024 * 1024, 4096  # bytes of the disk, and of a page of it
SCORES = {"miou": 0.5, "fwiou": 0.5, "mean_accuracy": 0.5, "loss": 1.0}


@pytest.fixture
def disk(tmp_path):
    """Mount a small file system in memory."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", place]
    mounted = subprocess.run(command, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


def features(disk, version):
    record = {"dec": np.full((3, 40, 40, 16), version, np.float16)}
    FeatureCache.build(disk / "f.h5", str(version), {}, ["a", "b", "c"], [record])


def checkpoint(disk, version):
    save_tensors(disk / "n.pt", {"version": version, "weights": torch.zeros(30_000)})


def training(disk, version):
    saved = SavedTraining(disk / "training", "a", {"network": torch.nn.Linear(100, 100)})
    saved.add(saved.epochs + 1, SCORES)
    saved.save()


def settings(disk, version):
    write_mapping(disk / "config.yaml", to_mapping(SearchConfig(trials=version + 1)))


def trial_log(disk, version):
    with RunStore.open(disk / "run", identity={}, config={}) as store:
        for number in range(len(store.trials), len(store.trials) + 10):
            store.append(Trial(number=number, status="failed", error="x" * 400))


def curves(disk, version):
    with contextlib.closing(Curves(disk / "run")) as drawn:
        for number in range(30):
            drawn.add(Trial(number=number, status="finished", reward=0.5))


def pictures(disk, version):
    image, label = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8), np.zeros((48, 64), np.uint8)
    with segmented_recording(disk / "seen", (48, 64), ["a", "b"], [(0, 0, 0), (9, 9, 9)], 10, "mp4v") as write:
        for number in range(6):
            write(f"frame_{number}", image, label)


WRITERS = [features, checkpoint, training, settings, trial_log, curves, pictures]


def read_all(disk):
    """Read what the files say that are there; all of them can be read."""
    said = {}
    for version in (0, 1):
        with contextlib.suppress(CacheMismatch, FileNotFoundError):
            said["features"] = int(FeatureCache.open(disk / "f.h5", str(version)).arrays["dec"][-1].max())
    if (disk / "n.pt").exists():
        said["checkpoint"] = load_tensors(disk / "n.pt")["version"]
    if (disk / "training" / "training.pt").exists():
        said["training"] = len(load_tensors(disk / "training" / "training.pt")["curve"])
    if (disk / "config.yaml").exists():
        said["settings"] = read_mapping(disk / "config.yaml")["trials"]
    if (disk / "run" / "config.yaml").exists():
        said["trials"] = len(read_trials(disk / "run"))
    return said


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_full(tell, disk, write):
    """Write twice: the first version fits, the second one meets every amount of room from none to enough."""
    write(disk, 0)
    before, reasons, cases = read_all(disk), [], 0
    for room in range(0, SIZE, STEP):
        fill(disk, room)
        cases += 1
        try:
            write(disk, 1)
        except (OSError, RunError) as error:
            reasons.append(str(error))
            kept = read_all(disk)
            assert kept == before | {name: kept[name] for name in ("trials", "training") if name in kept}
            assert kept.get("trials", 0) >= before.get("trials", 0)
        else:
            break
        finally:
            (disk / "filler").unlink(missing_ok=True)
        before = read_all(disk)
        assert not list(disk.rglob("*.tmp*"))
    assert reasons
    assert all(re.search("No space left|make room|disk (is )?full", reason) for reason in reasons), set(reasons)
    tell(f"disk full, {write.__name__}", cases, f"{len(reasons)} refused")


def fill(disk, room):
    """Fill the disk up to `room` bytes."""
    with (disk / "filler").open("wb") as file:
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        file.write(bytes(max(0, free - room)))


def test_read_only(tell, disk):
    for write in WRITERS:
        write(disk, 0)
    before = read_all(disk)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    for write in WRITERS:
        with pytest.raises((OSError, RunError), match=r"Read-only file system|cannot write"):
            write(disk, 1)
    assert read_all(disk) == before
    tell("read-only disk", len(WRITERS))
