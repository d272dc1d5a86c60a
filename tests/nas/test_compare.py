import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nas.compare import Arguments, main, static_fact
from nas.runs.comparable import UNKNOWN, Run, read_run, strategy_names
from nas.runs.store import RunStore
from nas.runs.trial import Trial
from nas.settings.config import CandidateConfig, SearchConfig, SpaceConfig
from nas.settings.config_files import identity, to_mapping
from nas.settings.errors import RunError
from nas.settings.strategy_config import PPOConfig
from nas.strategies.catalog import settings_of
from searchspace.space import Space

SPACE = Space.load("paper", blocks=1)
CELL = SPACE.genotype((0,) * len(SPACE.decisions))
LOST = {"status": "failed", "error": "crash: gone"}


def make_run(directory, rewards, *, features="one", **settings):
    """A search of trials with these rewards; those of None failed."""
    config = SearchConfig(space=SpaceConfig(space="paper", blocks=1), **settings)
    with RunStore.open(directory, identity=identity(config), config=to_mapping(config)) as store:
        store.bind("features", features)
        for number, reward in enumerate(rewards):
            fields = LOST if reward is None else {"status": "finished", "reward": reward}
            store.append(Trial(number=number, genotype=CELL, **fields))
    return directory


@pytest.fixture
def four(tmp_path):
    """Two seeds of two strategies; one run is longer than the others."""
    rewards = {"ppo": ([0.5, 0.7, 0.6], [0.4, 0.8, 0.9, 0.95]), "random": ([0.5, None, 0.4], [0.6, 0.5, 0.5])}
    return [
        make_run(tmp_path / f"{strategy}-{seed}", each, strategy=strategy, seed=seed)
        for strategy, seeds in rewards.items()
        for seed, each in enumerate(seeds)
    ]


def table(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_runs_are_compared_over_as_many_trials_as_all_have(tmp_path, four, capsys):
    main(Arguments(runs=tuple(four)))
    output = tmp_path / "comparison"
    left = {"comparison.md", "curves.png", "curves.svg", "curves.csv", "searches.csv"}
    assert {path.name for path in output.iterdir()} == left
    said = capsys.readouterr().out
    assert (output / "comparison.md").read_text() in said
    assert "the first 3 trials of each run; 1 of 4 runs have more and are cut" in said
    assert "static network: the same for all runs" in said
    assert "with 2 and 2 seeds the smallest possible p is 0.333" in said
    assert table(output / "searches.csv") == [
        ["run", "strategy", "seed", "trials", "trained", "best", "mean", "late"],
        [str(four[0]), "ppo", "0", "3", "3", "0.7", str((0.5 + 0.7 + 0.6) / 3), "0.6"],
        [str(four[1]), "ppo", "1", "4", "3", "0.9", str((0.4 + 0.8 + 0.9) / 3), "0.9"],
        [str(four[2]), "random", "0", "3", "3", "0.5", "0.45", "0.4"],
        [str(four[3]), "random", "1", "3", "3", "0.6", str((0.6 + 0.5 + 0.5) / 3), "0.5"],
    ]
    curves = table(output / "curves.csv")
    assert curves[0] == ["strategy", "seed", "trial", "best_so_far", "moving_mean"]
    best = [0.5, 0.7, 0.7, 0.4, 0.8, 0.9, 0.5, 0.5, 0.5, 0.6, 0.6, 0.6]
    assert [float(row[3]) for row in curves[1:]] == best


def test_a_smaller_budget_and_another_folder(tmp_path, four, capsys):
    main(Arguments(runs=tuple(four), trials=1, output=tmp_path / "elsewhere"))
    assert "the first 1 trials of each run; 4 of 4 runs have more and are cut" in capsys.readouterr().out
    assert len(table(tmp_path / "elsewhere" / "curves.csv")) == 5


def test_trials_beyond_a_gap_do_not_count(tmp_path):
    run = make_run(tmp_path / "run", [0.5, 0.6, 0.7, 0.8])
    log = run / "trials.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join([lines[3], lines[1], lines[0]]))
    assert [trial.reward for trial in read_run(run).trials] == [0.5, 0.6]


@pytest.mark.parametrize(
    ("features", "said"),
    [
        ("aaaa", "static network: the same for all runs"),
        ("abab", "static networks: 2, the same ones for every strategy"),
        ("abaa", "static networks: 2, NOT the same ones for every strategy"),
        (["a", UNKNOWN, "a", UNKNOWN], "static networks: 2 of 4 runs do not say theirs"),
        ([UNKNOWN] * 4, "static networks: 4 of 4 runs do not say theirs"),
    ],
)
def test_static_networks_are_told_apart(features, said):
    runs = [Run(Path(), SearchConfig(), (), each) for each in features]
    assert static_fact(runs, ["ppo", "ppo", "random", "random"]).startswith(said)


def test_strategies_of_other_settings_have_names_of_their_own(tmp_path):
    runs = [
        make_run(tmp_path / "a", [0.5], strategy="ppo"),
        make_run(tmp_path / "b", [0.5], strategy="ppo", ppo=PPOConfig(entropy=0.1)),
        make_run(tmp_path / "c", [0.5], strategy="random", ppo=PPOConfig(entropy=0.1)),
        make_run(tmp_path / "d", [0.5], strategy="evolution", warm_start=True),
    ]
    names = strategy_names([read_run(run) for run in runs], settings_of)
    assert names == ["ppo (ppo.entropy 0.0)", "ppo (ppo.entropy 0.1)", "random", "evolution"]


def test_runs_of_other_problems_are_refused_with_the_difference(tmp_path):
    one = make_run(tmp_path / "a", [0.5])
    two = make_run(tmp_path / "b", [0.5], seed=1, candidate=CandidateConfig(epochs=4))
    with pytest.raises(RunError, match=f"candidate.epochs: 20 in {one}, 4 in {two}"):
        main(Arguments(runs=(one, two)))
    assert not (tmp_path / "comparison").exists()


def test_the_same_search_twice_is_refused(tmp_path):
    one = make_run(tmp_path / "a", [0.5], strategy="random")
    two = make_run(tmp_path / "b", [0.5], strategy="random", ppo=PPOConfig(entropy=0.1))
    with pytest.raises(RunError, match="are both random with seed 0: the same search"):
        main(Arguments(runs=(one, two)))


@pytest.mark.parametrize(
    ("rewards", "trials", "said"),
    [
        ([], None, "has 0 trials, fewer than 1; continue it"),
        ([0.5], 2, "has 1 trials, fewer than 2; continue it .*--trials 1"),
        ([0.5], 0, "trials must be at least 1, but got 0"),
        ([None], None, "cannot be compared: none of the 1 trials has a reward"),
    ],
)
def test_runs_with_too_little_are_refused(tmp_path, rewards, trials, said):
    one, two = make_run(tmp_path / "a", [0.5] * 3), make_run(tmp_path / "b", rewards, seed=1)
    with pytest.raises(RunError, match=said):
        main(Arguments(runs=(one, two), trials=trials))


def test_the_command_ends_with_2_and_one_message(command, tmp_path):
    result = command("compare", tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: there is no run in {tmp_path}")


def test_no_run_at_all_is_refused():
    with pytest.raises(RunError, match="name the directories"):
        Arguments(runs=())


def test_help_loads_neither_torch_nor_matplotlib():
    code = "import sys, nas.compare; print([m for m in ('torch', 'matplotlib') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_confirmed_rewards_are_compared_where_all_runs_have_them_of_equally_many_cells(tmp_path, capsys):
    cells = [SPACE.uniform(np.random.default_rng(seed)) for seed in range(3)]
    runs = []
    for seed, (rewards, again) in enumerate(
        [((0.5, 0.7, 0.6), {1: 0.61, 2: 0.9}), ((0.8, 0.5, 0.9), {2: 0.7, 0: 0.75})]
    ):
        config = SearchConfig(space=SpaceConfig(space="paper", blocks=1), seed=seed)
        runs.append(tmp_path / str(seed))
        with RunStore.open(runs[-1], identity=identity(config), config=to_mapping(config)) as store:
            for number, reward in enumerate(rewards):
                store.append(Trial(number=number, genotype=cells[number], status="finished", reward=reward))
            for number, reward in again.items():
                common = {"genotype": cells[number], "status": "finished"}
                store.append(Trial(confirms=f"#{number}", seed=0, reward=reward - 0.01, **common))
                store.append(Trial(confirms=f"#{number}", seed=1, reward=reward + 0.01, **common))

    def confirmed(trials):
        main(Arguments(runs=tuple(runs), trials=trials))
        header, *rows = table(tmp_path / "comparison" / "searches.csv")
        return [round(float(row[header.index("confirmed")]), 9) for row in rows] if "confirmed" in header else None

    assert confirmed(3) == [0.9, 0.75]  # the two best cells of each
    assert confirmed(2) == [0.61, 0.75]  # now the second best cells are not confirmed
    assert "confirmed rewards: of the 1 best cells of each run within the budget" in capsys.readouterr().out
    assert confirmed(1) is None  # the best of one trial was not confirmed
    assert "confirmed rewards: not compared" in capsys.readouterr().out
