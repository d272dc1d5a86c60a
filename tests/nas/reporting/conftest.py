"""A made-up search, so that plots and tables have something to show."""

from dataclasses import replace

import numpy as np
import pytest

from nas.runs.trial import Trial
from searchspace.space import Space


def made_up_run(count, *, seed=0, fixed_points=("per_frame",)):
    """Trials of a search that learns to prefer low tokens; some are stopped, some fail, some repeat earlier ones."""
    rng = np.random.default_rng(seed)
    space = Space.load("paper")
    trials, first = [], {}
    for number in range(count):
        learnt = 0.8 * number / count
        tokens = [int(rng.integers(1 + int((d.choices - 1) * (1 - learnt * rng.random())))) for d in space.decisions]
        genotype = space.genotype(tuple(tokens))
        if genotype.key in first or (number > 5 and rng.random() < 0.05):
            original = first.get(genotype.key, trials[int(rng.integers(1, 6))])
            trials.append(replace(original, number=number, repeat_of=original.number, seconds=0.0))
            continue
        reward = float(np.clip(0.52 + 0.08 * learnt + 0.03 * rng.standard_normal(), 0, 1))
        chance = rng.random()
        if chance < 0.06:
            common = {"status": "failed", "error": "non-finite loss: epoch 3" if chance < 0.04 else "time-out: 3600 s"}
        else:
            stopped = chance < 0.35 and number > 3
            common = {
                "status": "early_stopped" if stopped else "finished",
                "reward": reward - 0.08 * stopped,
                "metrics": {"miou": reward - 0.05, "fwiou": reward + 0.1, "mean_accuracy": reward, "loss": 0.7},
                "cost": {
                    "parameters": float(rng.integers(60_000, 350_000)),
                    "relative_macs": float(rng.uniform(0.3, 1.5)),
                },
            }
        trials.append(Trial(number=number, genotype=genotype, seconds=float(20 + 30 * rng.random()), **common))
        first.setdefault(genotype.key, trials[-1])
    floor = {
        "status": "finished",
        "reward": 0.553,
        "cost": {"parameters": 6_347.0, "relative_macs": 1.0},
        "seconds": 9.0,
    }
    scores = {"metrics": {"miou": 0.49, "fwiou": 0.66, "mean_accuracy": 0.55, "loss": 0.8}}
    return [Trial(fixed_point=name, **floor, **scores) for name in fixed_points] + trials


@pytest.fixture(scope="session")
def run_of():
    return made_up_run
