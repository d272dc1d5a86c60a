"""Facts of a search are true of what was done, and not only of what was asked for."""

from types import SimpleNamespace

import pytest

from cache.datasets.shapes import Shapes
from nas.reporting.search.facts import pace, run_facts
from nas.runs.trial import Trial
from nas.settings.config import CandidateConfig, SearchConfig
from searchspace.space import Space

PREPARED = SimpleNamespace(
    dataset=Shapes(),
    size=(24, 32),
    static_facts={},
    static_saw=None,
    features=SimpleNamespace(path="features.h5"),
    evaluator=SimpleNamespace(
        refresh=0,
        classes=len(Shapes.classes),
        static_checkpoint="network.pt",
        class_weights=None,
        train_windows=((0, 1, 2), (1, 2, 3), (2, 3, 4)),
        val_clips=((8, 9),),
    ),
)


@pytest.mark.parametrize(("asked", "used"), [(0, 3), (2, 2), (400, 3)])
def test_an_epoch_goes_through_the_windows_that_there_are(run_of, asked, used):
    config = SearchConfig(candidate=CandidateConfig(windows=asked))
    facts = run_facts(run_of(2), config, Space.load("paper"), PREPARED)
    assert f"epochs over {used} windows of" in facts["candidates"]


def test_the_pace_is_that_of_a_worker_whoever_goes_on_with_the_run(run_of):
    cell = next(trial.genotype for trial in run_of(2) if trial.genotype)
    done = {"genotype": cell, "status": "finished", "reward": 0.5}
    trials = [Trial(number=0, seconds=60, **done), Trial(number=1, seconds=120, **done)]
    others = [
        Trial(number=2, repeat_of=0, **done),
        Trial(fixed_point="per_frame", status="finished", reward=0.5, seconds=9),
    ]
    assert pace([*trials, *others]) == "2 trials trained in 3 min of workers' time, 40 an hour on each worker"
    assert pace(others) == "no trial was trained"
