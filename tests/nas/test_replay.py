"""The command `nas.replay`, in short."""

import csv
import statistics
import subprocess
import sys

import pytest

from nas.replay import Arguments


def test_it_prints_a_line_a_strategy_and_writes_one_a_search(tmp_path):
    small = ["--space", "paper", "--blocks", 1, "--trials", 50, "--seeds", 3]
    words = ["--strategy", "random", "evolution", *small, "--output", tmp_path / "found.csv", "--curves", tmp_path]
    line = [sys.executable, "-m", "nas.replay", *map(str, words)]  # which starts processes that import it again
    done = subprocess.run(line, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    _, header, _, *lines = done.stdout.strip().splitlines()
    assert "best of 40" in header
    assert "best of 50" in header
    assert [line.split("|")[1].strip() for line in lines] == ["random", "evolution"]
    assert "(p " not in lines[0]
    assert "(p " in lines[1]
    rows = list(csv.DictReader((tmp_path / "found.csv").open()))
    assert [(row["strategy"], row["seed"]) for row in rows] == [
        (name, str(seed)) for name in ("random", "evolution") for seed in range(3)
    ]
    assert all(float(row["best of 40"]) <= float(row["best of 50"]) for row in rows)
    curves = list(csv.DictReader((tmp_path / "curves.csv").open()))
    [last] = [row for row in curves if (row["strategy"], row["trials"]) == ("evolution", "50")]
    best = [float(row["best of 50"]) for row in rows if row["strategy"] == "evolution"]
    assert float(last["mean"]) == pytest.approx(statistics.mean(best))
    assert float(last["standard error"]) == pytest.approx(statistics.stdev(best) / 3**0.5)
    assert (tmp_path / "curves.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--strategy", "chance"),
            "strategy must be one of ppo, ppo_plain, random, evolution, or package.module:name of your own",
        ),
        (
            ("--landscape", "moon"),
            "unknown landscape 'moon' of the space video; known are made-up, rugged, the tables of",
        ),
        (("--strategy", "random", "ppo", "ppo"), "strategy must name each once"),
        (("--seeds", "1"), "seeds must be at least 2, for a spread, but got 1"),
    ],
)
def test_bad_input_is_one_message(command, words, message):
    done = command("replay", *words)
    assert done.returncode == 2
    assert message in done.stderr


def test_budgets_end_with_the_search():
    assert Arguments(trials=40).budgets == (40,)
    assert Arguments(trials=150).budgets == (40, 100, 150)
