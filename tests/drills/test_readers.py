"""Readers of text and of checkpoints on spoiled input: what is read is in range, or else there is one error."""

import contextlib
import io
import json
import math
import os
import zipfile
from dataclasses import asdict

import numpy as np
import pytest
import torch
from mutations import DEEP, LAUGHS, alter, fuzz, make_text, spoil

from baselines.fixed_points import FIXED_POINTS
from cache.datasets.folder import Folder
from cache.errors import DataError
from cache.static.network import StaticNetwork, save_checkpoint
from cache.tensor_files import load_tensors, save_tensors
from nas.labelled_video.labeller import Labeller
from nas.networks.heads import build_head
from nas.networks.loading import load_network
from nas.networks.video_network import VideoNetwork, save_video_network
from nas.reporting.search.tables import best_cells, outcomes
from nas.runs.store import RunStore, read_trials
from nas.runs.trial import Trial
from nas.settings.compute import Compute
from nas.settings.config import SearchConfig
from nas.settings.config_files import from_mapping, read_mapping, to_mapping, write_mapping
from nas.settings.errors import NonFiniteError, RunError
from searchspace.errors import SpaceError
from searchspace.genotype import Genotype
from searchspace.space import Space

pytestmark = [pytest.mark.drill, pytest.mark.filterwarnings("ignore::UserWarning")]  # PyTorch warns of odd pickles
CASES = int(os.environ.get("CASES", 20_000))
CPU = Compute(torch.device("cpu"), None)
CELLS = [cell.to_json() for cell in FIXED_POINTS.values() if cell is not None]
SPACE = {
    "blocks": 2,
    "inputs": ["past.dec", "cur.layer2"],
    "operations": ["skip", {"separable_conv": {"kernel": 3, "dilation": 6}}],
    "aggregations": ["concat", {"memory_attention": {"slots": 2, "scaled": True}}],
}
CLASSES = {"classes": ["sky", "road"], "colours": [[0, 0, 0], [9, 9, 9]], "void": 255}


def is_finite(value):
    """Tell whether all numbers in a tree are finite."""
    if isinstance(value, dict):
        return all(map(is_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def test_genotypes(tell):
    def read(tree):
        try:
            cell = Genotype.from_json(tree)
        except SpaceError:
            return
        assert Genotype.from_json(cell.to_json()) == cell
        assert cell.canonical().key == cell.key

    tell("genotypes", *fuzz(CASES, lambda random: alter(random.choice(CELLS), random), read))


def test_spaces(tell, folder):
    path = folder / "mine.yaml"

    def read(content):
        path.write_bytes(content)
        try:
            space = Space.load(str(path))
        except SpaceError:
            return
        assert 1 <= space.blocks <= 10
        assert space.size >= 1

    tell("spaces", *fuzz(CASES, lambda random: make_text(random, [SPACE], DEEP, LAUGHS), read))


def test_descriptions_of_data_sets(tell, folder):
    (folder / "train").mkdir()

    def read(content):
        (folder / "dataset.yaml").write_bytes(content)
        try:
            found = Folder(folder)
        except DataError:
            return
        assert len(found.colours) == len(found.classes) > 1

    tell("descriptions of data sets", *fuzz(CASES, lambda random: make_text(random, [CLASSES], DEEP, LAUGHS), read))


def test_configurations(tell, folder):
    whole, few = to_mapping(SearchConfig()), {"data": {"scale": 0.5, "window": 3}, "trials": 9, "ppo": {"clip": 0.2}}
    path = folder / "config.yaml"
    write_mapping(path, few)

    def read(content):
        try:
            if isinstance(content, bytes):
                path.write_bytes(content)
                content = read_mapping(path)
            config = from_mapping(SearchConfig, content, "config")
        except RunError:
            return
        assert is_finite(asdict(config))

    sealed = path.read_bytes()

    def make(random):
        tree = alter(whole, random) if random.random() < 0.5 else None
        return tree if isinstance(tree, dict) else make_text(random, [few], sealed, DEEP, LAUGHS)

    tell("configurations", *fuzz(CASES, make, read))


def test_trial_logs(tell, folder):
    cell = Genotype.from_json(CELLS[0])
    scores = {"metrics": {"miou": 0.4, "loss": 1.5}, "cost": {"macs": 1e6}, "latency": 0.01, "seconds": 3.5}
    trials = [
        Trial(number=0, genotype=cell, status="finished", reward=0.5, halfway_reward=0.4, worker="host:1", **scores),
        Trial(fixed_point="per_frame", status="finished", reward=0.61, seed=7),
        Trial(number=1, genotype=cell, status="failed", error="ValueError: Übergröße"),
    ]
    with RunStore.open(folder, identity={}, config={}) as store:
        for trial in trials:
            store.append(trial)
    log = folder / "trials.jsonl"

    def read(content):
        log.write_bytes(content if content.endswith(b"\n") else content + b"\n")
        try:
            found = read_trials(folder)
        except RunError:
            return
        assert all(is_finite(asdict(trial)) for trial in found)
        assert best_cells(found)
        assert outcomes(found)

    records, whole = [trial.to_json() for trial in trials], log.read_bytes()
    tell("trial logs", *fuzz(CASES, lambda random: make_text(random, records, whole, DEEP), read))


def test_files_of_tensors(tell, folder):
    path = folder / "a.pt"
    save_tensors(path, {"format": "x", "classes": 3, "weights": {"a": torch.arange(6.0), "b": torch.ones(2, 3).half()}})
    whole = path.read_bytes()

    def read(content):
        path.write_bytes(content)
        with contextlib.suppress(DataError):
            load_tensors(path)

    tell("files of tensors", *fuzz(CASES, lambda random: random.choice([spoil, repack])(whole, random), read))


def repack(archive, random):
    """Spoil one part of an archive, under checksums that are right."""
    with zipfile.ZipFile(io.BytesIO(archive)) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    name = (
        next(name for name in parts if name.endswith("data.pkl")) if random.random() < 0.8 else random.choice([*parts])
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as new:
        for each, content in parts.items():
            new.writestr(each, spoil(content, random) if each == name else content)
    return buffer.getvalue()


def test_checkpoints(tell, folder):
    """Try a hundredth of the cases, as a network takes tens of milliseconds to make; the file's bytes are above."""
    static = StaticNetwork(2, auxiliary=False)
    network = VideoNetwork(static, build_head(None, static.channels, 2, 0))
    facts = {"name": "a", "classes": ["sky", "road"], "colours": [[0, 0, 0], [9, 9, 9]], "size": [48, 64]}
    save_video_network(folder / "video.pt", network, facts)
    save_checkpoint(folder / "static.pt", network.static, facts)
    contents = [load_tensors(folder / name) for name in ("video.pt", "static.pt")]
    image = np.zeros((32, 32, 3), np.uint8)

    def read(content):
        save_tensors(folder / "n.pt", content)
        with contextlib.suppress(DataError, NonFiniteError):
            Labeller(load_network(folder / "n.pt")[0], (32, 32), CPU)(image)

    tell("checkpoints", *fuzz(CASES // 100, lambda random: change_parts(random.choice(contents), random), read))


def change_parts(content, random):
    """Change the parts of a file's content, and values in the JSON of its texts."""
    told = {name: json.loads(part) for name, part in content.items() if name in ("meta", "genotype")}
    names = {name: name for name in content if name not in told}
    tree = alter(told | names, random)
    if not isinstance(tree, dict):
        return {"format": tree}
    kept = {name: content.get(part, part) if isinstance(part, str) else part for name, part in tree.items()}
    return {name: json.dumps(part) if name in told else part for name, part in kept.items()}
