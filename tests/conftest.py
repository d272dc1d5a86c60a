"""What every test shares: one thread, as small tensors gain nothing from more, and no deadlines on slow machines."""

import json
import logging
import runpy
import signal
import subprocess
import sys
import warnings
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import hypothesis
import pytest
import torch
from torch import nn

from cache.static.encoder import Encoder
from cache.static.encoders import ENCODERS
from cache.static.layers import conv_norm

hypothesis.settings.register_profile("dyncell", deadline=None, derandomize=True)
hypothesis.settings.load_profile("dyncell")


@pytest.fixture(autouse=True, scope="session")
def single_thread():
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def auto_is_the_cpu():
    """Also where there is a GPU, numbers are compared with those of the CPU, in float32; tests of CUDA name it."""
    with patch("nas.settings.compute.first_device", lambda: "cpu"):
        yield


@pytest.fixture(autouse=True)
def own_modules_are_forgotten():
    """Tests write modules of one's own called `mine`; the next test's is another file."""
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "mine"]:
        del sys.modules[name]


@pytest.fixture(scope="session")
def command():
    """Do in this process what `python -m nas.NAME WORDS` does in one of its own, which takes seconds to start."""

    def run(name, *words):
        words, out, err = [f"nas.{name}", *map(str, words)], StringIO(), StringIO()
        with as_a_process(words), redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            runpy.run_module(f"nas.{name}", run_name="__main__")
        return subprocess.CompletedProcess(words, ended.value.code, out.getvalue(), err.getvalue())

    return run


@contextmanager
def as_a_process(words):
    """Show a command its words, and logging as Python starts with it; leave no setting of this process changed."""
    root, hook = logging.getLogger(), sys.unraisablehook
    heard = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGALRM)}
    handlers, level, root.handlers = root.handlers, root.level, []
    try:
        with patch.object(sys, "argv", words), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "'nas.* found in sys.modules", RuntimeWarning)  # another test's import
            yield
    finally:
        for handler in root.handlers:
            handler.close()
        root.handlers = handlers
        root.setLevel(level)
        sys.unraisablehook = hook
        for number, handler in heard.items():
            signal.signal(number, handler)
        torch.set_num_threads(1)


class SmallEncoder(Encoder):
    """Five convolutions."""

    channels = {"layer1": 4, "layer2": 6, "layer3": 8, "layer4": 10}  # noqa: RUF012
    strides = {"layer1": 4, "layer2": 8, "layer3": 16, "layer4": 32}  # noqa: RUF012

    def __init__(self):
        super().__init__()
        self.layer1 = nn.Sequential(conv_norm(3, 4, 3, stride=2), conv_norm(4, 4, 3, stride=2))
        self.layer2, self.layer3, self.layer4 = (conv_norm(c - 2, c, 3, stride=2) for c in (6, 8, 10))

    def stage(self, layer, x):
        return self.get_submodule(layer)(x)


@pytest.fixture(scope="module")
def small_encoder():
    """The name of an encoder that takes a tenth of the time, for tests of what an encoder is used for."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(ENCODERS, "small", SmallEncoder)
        yield "small"


@pytest.fixture(scope="session")
def video_network(tmp_path_factory):
    """The file of a random tmanet that was trained at 32x48, as its `path`, and the `facts` stored with it.

    Its biases are such that every class wins somewhere: maps of one class would be the same of any frames.
    """
    from baselines.fixed_points import FIXED_POINTS
    from cache.static.network import StaticNetwork
    from nas.networks.heads import build_head
    from nas.networks.video_network import VideoNetwork, save_video_network

    facts = {
        "name": "tmanet",
        "dataset": "shapes",
        "classes": ["sky", "road", "car"],
        "colours": [[0, 0, 255], [128, 64, 128], [255, 0, 0]],
        "size": [32, 48],
    }
    path = tmp_path_factory.mktemp("checkpoint") / "network.pt"
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        static, noise = StaticNetwork(3), torch.randn(1, 3, 32, 48)
        network = VideoNetwork(static, build_head(FIXED_POINTS["tmanet"], static.channels, 3, seed=0)).eval()
        logits, state = network.first(noise)
        static.classifier.bias -= logits.mean((0, 2, 3))
        network.head.classifier.bias -= network.later(noise, state)[0].mean((0, 2, 3))
    save_video_network(path, network, facts)
    return SimpleNamespace(path=path, facts=facts)


@pytest.fixture
def whole_road(monkeypatch, tmp_path, capsys):
    """Go the whole road on two clips of `shapes` a split, smallest in everything; return what each station left.

    The road takes the settings of the static network's making, what its checkpoint is then called in a search, the
    number of cells, the weights of a loss that are other than by default, and a video to take in place of `shapes`.
    """
    from PIL import Image

    from cache.datasets import shapes
    from nas import export, pretrain, retrain, search, segment
    from nas.settings import config as settings
    from nas.settings.retrain_config import RecipeConfig, RetrainConfig

    for split in ("train", "val"):
        monkeypatch.setitem(shapes.CLIPS, split, 2)
    one_thread = settings.ComputeConfig(threads=1, precision="float32")
    shared = {
        "data": settings.DataConfig(dataset="shapes", scale=0.25, window=3, meta_val=0.5),
        "machine": settings.MachineConfig(cache_dir=tmp_path / "cache"),
        "compute": one_thread,
    }
    run, clip, output, graphs = (tmp_path / name for name in ("run", "clip", "out", "graphs"))

    def train_static(static):
        pretrain.main(pretrain.Arguments(config=settings.PretrainConfig(**shared, static=static)))
        return Path(capsys.readouterr().out.strip().splitlines()[-1])

    def go(static, *, trials, candidate=None, recipe=None, video=None):
        machine = settings.MachineConfig(cache_dir=tmp_path / "cache", data_root=video)
        filmed = {"data": settings.DataConfig(dataset="video", window=3, meta_val=0.5), "machine": machine}
        config = settings.SearchConfig(
            **shared | (filmed if video else {}),
            static=static,
            space=settings.SpaceConfig(blocks=2),
            candidate=settings.CandidateConfig(epochs=2, batch=8, early_stop=False, **candidate or {}),
            strategy="random",
            fixed_points=("per_frame",),
            trials=trials,
            confirm=0,
        )
        search.main(search.Arguments(config=config, run=run))
        log = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
        assert [trial["status"] for trial in log] == ["finished"] * (trials + 1), log

        asked = RetrainConfig(retrain=RecipeConfig(head_epochs=1, epochs=1, batch=4, **recipe or {}))
        retrain.main(retrain.Arguments(run=run, top_k=1, fixed_points=(), config=asked, compute=one_thread))
        [checkpoint] = (run / "retrained").glob("cell*/network.pt")

        clip.mkdir()
        data = shapes.Shapes()
        frames = [data.image(frame) for frame in data.frames("val")[:2]]
        for number, frame in enumerate(frames):
            Image.fromarray(frame).save(clip / f"{number:03}.png")
        segment.main(segment.Arguments(source=str(clip), checkpoint=checkpoint, output=output, compute=one_thread))
        assert len(list(output.rglob("*.png"))) >= 2
        export.main(export.Arguments(checkpoint=checkpoint, output=graphs))
        about = json.loads((graphs / "export.json").read_text())
        assert about["checked"]["largest_difference"] < 1e-3
        return SimpleNamespace(checkpoint=checkpoint, frames=frames)

    return SimpleNamespace(shared=shared, train_static=train_static, go=go)
