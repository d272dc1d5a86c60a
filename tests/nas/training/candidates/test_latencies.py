"""A run has one table of latencies: measured when it starts, kept, and never measured again once trials hang on it."""

from types import SimpleNamespace

import pytest
import torch

from baselines.fixed_points import FIXED_POINTS
from cache.static.network import StaticNetwork, save_checkpoint
from nas.evaluation import latency_table
from nas.evaluation.latency_parts import parts_of
from nas.evaluation.latency_table import LatencyTable
from nas.runs.store import RunStore
from nas.runs.trial import Trial
from nas.settings.compute import Compute
from nas.settings.config import SearchConfig
from nas.settings.config_files import identity, to_mapping
from nas.settings.errors import RunError
from nas.training.candidates.latencies import FILE, latencies_of_run
from searchspace.space import Space

SPACE = Space.load("paper", blocks=1)
CONFIG = SearchConfig()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    path = tmp_path_factory.mktemp("static") / "network.pt"
    save_checkpoint(path, StaticNetwork(3, auxiliary=False), {})
    return SimpleNamespace(
        size=(16, 24),
        evaluator=SimpleNamespace(static_checkpoint=path, compute=Compute(torch.device("cpu"), None)),
    )


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(latency_table, "REPEATS", 1)


def opened(folder):
    return RunStore.open(folder, identity=identity(CONFIG), config=to_mapping(CONFIG))


def test_a_run_that_goes_on_has_the_table_that_it_began_with(prepared, tmp_path):
    with opened(tmp_path) as store:
        table = latencies_of_run(store, prepared, SPACE, threads=1)
        store.append(Trial(number=0, status="failed", error="lost"))
    with opened(tmp_path) as store:
        assert latencies_of_run(store, prepared, SPACE, threads=1) == table
    for cell in filter(None, FIXED_POINTS.values()):  # whose operations the space does not have
        assert {str(part) for part in parts_of(cell, table.grids)} <= table.times.keys()


def test_a_table_is_measured_with_the_threads_of_one_worker(prepared, tmp_path, monkeypatch):
    threads = []

    def measure(parts, grids, *_):
        threads.append(torch.get_num_threads())
        return LatencyTable(grids, {str(part): 1.0 for part in parts})

    monkeypatch.setattr("nas.training.candidates.latencies.measure_table", measure)
    before = torch.get_num_threads()
    with opened(tmp_path) as store:
        latencies_of_run(store, prepared, SPACE, threads=before + 1)
    assert threads == [before + 1]
    assert torch.get_num_threads() == before


def test_a_table_that_is_gone_is_not_measured_again_under_trials(prepared, tmp_path):
    with opened(tmp_path) as store:
        latencies_of_run(store, prepared, Space.load("paper", blocks=2), threads=1)
        (tmp_path / FILE).unlink()
        latencies_of_run(store, prepared, SPACE, threads=1)  # there are none yet
        store.append(Trial(number=0, status="failed", error="lost"))
        (tmp_path / FILE).unlink()
        with pytest.raises(RunError, match=f"{FILE} is gone, by which the trials of this run were rewarded; restore"):
            latencies_of_run(store, prepared, SPACE, threads=1)
        assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        pytest.param(lambda text: text.replace("layer2", "layer3"), "not as it was written", id="edited"),
        pytest.param(lambda text: "times: {encoder layer2: 1.0}", "no table of latencies", id="a half"),
        pytest.param(lambda text: "grids: {}\ntimes: {encoder layer2: fast}", "no table of latencies", id="words"),
        pytest.param(lambda text: "grids: {}\ntimes: {encoder layer2: 1.0}", "a run that differs", id="another's"),
    ],
)
def test_a_table_that_is_not_the_runs_is_refused(prepared, tmp_path, damage, words):
    with opened(tmp_path) as store:
        latencies_of_run(store, prepared, SPACE, threads=1)
        store.append(Trial(number=0, status="failed", error="lost"))
        path = tmp_path / FILE
        path.write_text(damage(path.read_text()))
        with pytest.raises(RunError, match=words):
            latencies_of_run(store, prepared, SPACE, threads=1)
