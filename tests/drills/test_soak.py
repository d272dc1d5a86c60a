"""Thousands of trials in one run: what grows, how fast, and how long it takes to go on from there."""

import numpy as np
import psutil
import pytest
from processes import start_search, wait_for_success

pytestmark = pytest.mark.drill

TRIALS, WARM_UP = 2000, 300
LIMIT = 400.0  # kB a hundred trials: a search of 10,000 takes 40 MB more at its end
LIMIT_OF_PPO = 3000.0  # whose predictor holds what it has seen of every cell


def growth(samples, place):
    """Compute the slope of one of the samples over the number of trials, after the first ones, a hundred trials."""
    late = np.array([sample for sample in samples if sample[0] > WARM_UP], dtype=float)
    return 100 * np.polyfit(late[:, 0], late[:, place], 1)[0]


def workers_of(process):
    named = [(child, child.name()) for child in process.children(recursive=True)]
    return [child for child, name in named if name.startswith("ray::")]


def measure(process, run):
    """Measure a search while it runs: trials, kB of the driver and of its two workers together, bytes of the log."""
    samples, driver, log = [], psutil.Process(process.pid), run / "trials.jsonl"
    for line in process.stderr:
        number = line.split()[0].removeprefix("#") if line.strip() else ""
        if number.isdecimal() and int(number) % 50 == 0:
            workers = workers_of(driver)
            memory = [sum(p.memory_info().rss for p in group) / 1e3 for group in ([driver], workers)]
            samples.append((int(number), *memory, log.stat().st_size))
    assert process.wait() == 0
    return samples


def seconds_until(word, process):
    """Measure processor seconds that a search takes until it reports a trial; others on the machine do not count."""
    for line in process.stderr:
        if word in line:
            break
    times = psutil.Process(process.pid).cpu_times()
    wait_for_success(process)
    return times.user + times.system


@pytest.mark.parametrize(("strategy", "limit"), [("ppo_plain", LIMIT), ("ppo", LIMIT_OF_PPO)])
def test_two_thousand_trials(strategy, limit, tmp_path, tell):
    # With minibatches of 50, `ppo_plain` makes two updates a trial instead of ten.
    run, quick = tmp_path / "run", ("--strategy", strategy, "--ppo.minibatch", 50)
    samples = measure(start_search(run, "--executor", "ray", "--workers", 2, *quick, trials=TRIALS), run)
    driver, workers, log = (growth(samples, place) for place in (1, 2, 3))
    sizes = {number: size for number, _, _, size in samples}
    fresh = seconds_until("#0 ", start_search(tmp_path / "fresh", *quick, trials=1))
    resumed = seconds_until(f"#{TRIALS} ", start_search(run, *quick, trials=TRIALS + 1)) - fresh
    tell(
        f"soak, {strategy}",
        TRIALS,
        f"a hundred trials: driver {driver:+.0f} kB, workers {workers:+.0f} kB, log {log / 1e3:.0f} kB; "
        f"resuming takes {resumed:.1f} s longer than beginning",
    )
    assert driver < limit
    assert workers < LIMIT
    assert sizes[1900] / sizes[950] == pytest.approx(2, rel=0.1)
    assert resumed < 5
