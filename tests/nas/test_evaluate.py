"""The command: what it writes, and what it says of bad input."""

import csv
import subprocess
import sys

import pytest
import torch

from baselines.fixed_points import FIXED_POINTS
from cache.datasets.camvid import CamVid
from cache.datasets.shapes import Shapes
from cache.errors import DataError
from cache.static.network import StaticNetwork, save_checkpoint
from nas.evaluate import Arguments, lines, main, run_of, with_settings_of
from nas.networks.heads import build_head
from nas.networks.video_network import VideoNetwork, save_video_network
from nas.runs.store import RunStore
from nas.settings.config import DataConfig, SearchConfig
from nas.settings.config_files import to_mapping
from nas.settings.errors import RunError
from nas.settings.machine_config import ComputeConfig, MachineConfig

CLASSES = len(Shapes.classes)
STATIC = {"classes": Shapes.classes, "size": (32, 48)}


def save(folder, name, seed=0, size=(32, 48)):
    torch.manual_seed(seed)
    static = StaticNetwork(CLASSES)
    network = VideoNetwork(static, build_head(FIXED_POINTS[name], static.channels, CLASSES, seed))
    meta = {"name": name, "classes": Shapes.classes, "colours": Shapes.colours, "size": size}
    save_video_network(folder / f"{name}-seed{seed}" / "network.pt", network, meta)


@pytest.fixture
def few_clips(monkeypatch):
    everything = Shapes.frames
    monkeypatch.setattr(Shapes, "frames", lambda self, split: everything(self, split)[:6])


def arguments(tmp_path, *checkpoints, **changes):
    quick = {"dataset": "shapes", "output": tmp_path / "out", "cache_dir": tmp_path / "cache", "latency_repeats": 2}
    compute = ComputeConfig(device="cpu", threads=1)
    return Arguments(checkpoints=checkpoints, compute=compute, **(quick | changes))


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.usefixtures("few_clips")
def test_a_run_and_a_static_network_become_one_report(tmp_path, capsys):
    save(tmp_path / "run" / "retrained", "tdnet")
    save(tmp_path / "run" / "retrained", "tdnet", seed=1)
    (tmp_path / "static").mkdir()
    save_checkpoint(tmp_path / "static" / "network.pt", StaticNetwork(CLASSES), STATIC)
    static = tmp_path / "static" / "network.pt"
    main(arguments(tmp_path, tmp_path / "run", static, window=3, latency_size=((16, 24), (32, 16))))

    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("report.md", "evaluation.json", "networks.csv", "classes.csv"),
        *(f"{stem}.{kind}" for stem in ("accuracy", "classes", "panels") for kind in ("png", "svg")),
    }
    rows = table(tmp_path / "out" / "networks.csv")
    assert [(row["network"], row["seed"]) for row in rows] == [
        *(("static", "0"), ("tdnet", "0"), ("tdnet", "1"), ("labels", "0"))
    ]
    assert rows[1]["miou"] != rows[2]["miou"]
    assert rows[1]["later"] == rows[2]["later"] != ""
    assert 0 < float(rows[1]["relative_latency_at_32x16"]) != float(rows[1]["relative_latency"]) > 0
    assert float(rows[0]["relative_macs_at_32x16"]) == 1
    assert float(rows[0]["state_bytes"]) == 0 < float(rows[1]["state_bytes"])
    assert rows[0]["first_miou"] != rows[0]["miou"]
    assert float(rows[3]["tc"]) > 0.8
    assert len(table(tmp_path / "out" / "classes.csv")) == 3 * CLASSES
    report = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "at 32x48" in report
    assert "the last frames of 4 windows of 3 frames" in report
    assert "temporal consistency of 5 pairs" in report
    assert "2 single frames of 16x24 and of 32x16" in report
    assert "time / per-frame at 32x16" in report
    printed = capsys.readouterr().out
    assert "± " in printed
    assert printed.endswith(f"{tmp_path / 'out' / 'report.md'}\n")


@pytest.mark.usefixtures("few_clips")
def test_key_frames_alone_stand_beside_a_per_frame_network(tmp_path):
    save_checkpoint(tmp_path / "network.pt", StaticNetwork(CLASSES), STATIC)
    main(arguments(tmp_path, tmp_path / "network.pt", refresh=(2,), latency_repeats=2))
    static, held, _ = table(tmp_path / "out" / "networks.csv")
    assert held["network"] == f"{static['network']} held"
    assert float(static["relative_latency"]) == 1 != float(held["relative_latency"])
    assert 0.5 < float(held["relative_macs"]) < 0.51
    assert static["first_miou"] == held["first_miou"]


def test_each_distance_of_key_frames_is_a_line_but_for_the_network_that_has_none(tmp_path):
    save_checkpoint(tmp_path / "network.pt", StaticNetwork(CLASSES), STATIC)
    save(tmp_path, "tdnet")
    [cell] = tmp_path.glob("tdnet*/network.pt")
    of = {
        name: list(lines(name, [path], (2, 5), CLASSES)) for name, path in [("t", cell), ("s", tmp_path / "network.pt")]
    }
    named = {
        name: [(line, [network.refresh for network in seeds]) for line, seeds in each] for name, each in of.items()
    }
    assert named == {
        "t": [("t /2", [2]), ("t /5", [5])],
        "s": [("s", [2]), ("s held /2", [2]), ("s held /5", [5])],
    }


@pytest.mark.usefixtures("few_clips")
def test_what_a_run_retrained_is_shown_on_its_page(tmp_path, capsys):
    run = tmp_path / "run"
    save(run / "retrained", "tdnet")
    save(tmp_path / "elsewhere", "per_frame")
    with RunStore.open(run, identity={}, config=to_mapping(SearchConfig(data=DataConfig(dataset="shapes")))):
        main(arguments(tmp_path, run, tmp_path / "elsewhere", output=None))
    assert (run / "evaluation" / "shapes-val" / "report.md").exists()
    assert capsys.readouterr().out.endswith(f"{run / 'report.html'}\n")
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "<h2>Networks on the val list of shapes</h2>" in page
    assert page.count("data:image/svg+xml") == 3
    assert page.index(">per_frame<") < page.index(">tdnet<")


def test_data_set_its_folder_and_the_cache_are_those_of_the_run_where_no_flag_names_them(tmp_path):
    machine = MachineConfig(data_root=tmp_path / "data", cache_dir=tmp_path / "cache")
    config = SearchConfig(data=DataConfig(dataset="shapes"), machine=machine)
    with RunStore.open(tmp_path / "run", identity={}, config=to_mapping(config)):
        pass
    found = with_settings_of(tmp_path / "run", Arguments(checkpoints=(tmp_path / "run",)))
    assert (found.dataset, found.data_root, found.cache_dir) == ("shapes", tmp_path / "data", tmp_path / "cache")
    given = Arguments(checkpoints=(tmp_path / "run",), dataset="camvid", cache_dir=tmp_path / "mine")
    found = with_settings_of(tmp_path / "run", given)
    assert (found.dataset, found.data_root, found.cache_dir) == ("camvid", None, tmp_path / "mine")


def test_checkpoints_of_several_runs_have_no_run_in_common(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name / "retrained" / "tdnet-seed0").mkdir(parents=True)
        (tmp_path / name / "config.yaml").touch()
        (tmp_path / name / "trials.jsonl").touch()
    first, second = (tmp_path / name / "retrained" / "tdnet-seed0" / "network.pt" for name in ("a", "b"))
    assert run_of([first, tmp_path]) == run_of([tmp_path / "a"]) == tmp_path / "a"
    assert run_of([first, second]) is None
    assert run_of([tmp_path]) is None
    (tmp_path / "config.yaml").touch()  # of another program, as many projects have one
    assert run_of([first]) == tmp_path / "a"
    assert run_of([tmp_path / "elsewhere" / "network.pt"]) is None


@pytest.mark.usefixtures("few_clips")
def test_windows_are_as_long_as_the_longest_memory_needs(tmp_path):
    save(tmp_path, "lmanet")
    main(arguments(tmp_path, tmp_path, latency_repeats=0))
    assert "windows of 5 frames" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "later" not in table(tmp_path / "out" / "networks.csv")[0]


def test_networks_of_several_sizes_need_one_size(tmp_path):
    save(tmp_path, "tdnet")
    save(tmp_path, "per_frame", size=(48, 64))
    with pytest.raises(RunError, match="trained at 32x48, 48x64; name one size for all with --size HEIGHT WIDTH"):
        main(arguments(tmp_path, tmp_path))


def test_a_network_of_other_classes_is_refused_before_anything_is_computed(tmp_path):
    save(tmp_path, "tdnet")
    save_checkpoint(tmp_path / "network.pt", StaticNetwork(3), {"size": (32, 48)})
    with pytest.raises(DataError, match=f"has 3 classes, but the data has {CLASSES}"):
        main(arguments(tmp_path, tmp_path / "tdnet-seed0", tmp_path))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("classes", [("car", *Shapes.classes[1:]), Shapes.classes[::-1]], ids=["renamed", "reversed"])
def test_a_network_whose_numbers_mean_other_classes_is_refused(tmp_path, classes):
    save_checkpoint(tmp_path / "network.pt", StaticNetwork(CLASSES), STATIC | {"classes": classes})
    with pytest.raises(DataError, match=f"class 0 is '{classes[0]}' there and '{Shapes.classes[0]}' in the data"):
        main(arguments(tmp_path, tmp_path))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"window": 1}, "window must be at least 2 frames, or auto, but got 1"),
        ({"panels": 0}, "1 panel or more"),
        ({"latency_clip": 1}, "2 frames or more in a clip"),
        ({"size": (0, 5)}, "sizes must be positive"),
        ({"latency_size": ((5, 5), (5, -1))}, "sizes must be positive"),
    ],
)
def test_settings_out_of_range_are_refused(tmp_path, changes, reason):
    with pytest.raises(RunError, match=reason):
        arguments(tmp_path, tmp_path, **changes)


def test_a_split_that_is_not_there_ends_the_command_with_one_line(command, tmp_path):
    (tmp_path / "camvid" / "val").mkdir(parents=True)
    save_checkpoint(
        tmp_path / "network.pt", StaticNetwork(11), {"size": (32, 48), "classes": CamVid(tmp_path / "camvid").classes}
    )
    words = ["--checkpoints", tmp_path, "--dataset", "camvid", "--data-root", tmp_path, "--split", "test"]
    result = command("evaluate", *words)
    assert result.returncode == 2
    assert result.stderr.startswith("error: CamVid has no test split")
    assert result.stderr.count("\n") == 1


def test_help_loads_neither_torch_nor_matplotlib():
    code = "import sys, nas.evaluate; print([m for m in ('torch', 'matplotlib') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
