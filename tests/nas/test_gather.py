"""The command `nas.gather` on searches with made-up rewards."""

import numpy as np
import pytest

from nas.gather import Arguments, main
from nas.landscapes.table import CONFIRMATION, read_table
from nas.runs.store import RunStore
from nas.runs.trial import Trial
from nas.settings.config import SearchConfig, SpaceConfig
from nas.settings.config_files import identity, to_mapping
from nas.settings.errors import RunError
from searchspace.space import Space

SPACE = Space.load("paper", blocks=1)


def make_run(directory, features="one", **settings):
    """A search of four trials: two finished, one stopped half-way, one that failed, and a repeated cell."""
    config = SearchConfig(space=SpaceConfig(space="paper", blocks=1), **settings)
    rng = np.random.default_rng(config.seed)
    cells = [SPACE.uniform(rng) for _ in range(4)]
    with RunStore.open(directory, identity=identity(config), config=to_mapping(config)) as store:
        store.bind("features", features)
        for number, status in enumerate(("finished", "early_stopped", "failed", "finished")):
            fields = {"error": "x: y"} if status == "failed" else {"reward": 0.5 + number / 10, "latency": 0.01}
            seed = number + 10 * config.repetition
            store.append(Trial(number=number, genotype=cells[number], status=status, seed=seed, **fields))
        store.append(Trial(number=4, genotype=cells[0], status="finished", reward=0.5, repeat_of=0))
    return directory


def test_what_was_trained_to_the_end_is_gathered_with_where_it_came_from(tmp_path, capsys):
    runs = (
        make_run(tmp_path / "a"),
        make_run(tmp_path / "b", repetition=1),
        make_run(tmp_path / "c", seed=1, strategy="random"),
    )
    main(Arguments(runs=runs, output=tmp_path / "cells.csv.gz"))
    table = read_table(tmp_path / "cells.csv.gz")
    assert "6 trainings of 4 cells, 2 of them repeated" in capsys.readouterr().out
    assert [(row.strategy, row.search, row.reward) for row in table.rows] == [
        *[("random", 1, 0.5), ("random", 1, 0.8)],
        *[("ppo", 0, 0.5), ("ppo", 0, 0.8)] * 2,
    ]
    assert all(SPACE.genotype(row.tokens).key == row.key for row in table.rows)
    assert table.rows[0].cost == {"latency": 0.01}
    assert table.space == SPACE
    assert table.facts["rows"] == {"ppo": 4, "random": 2}
    assert table.facts["gathered with"].keys() == {"python", "dyncell", "torch", "numpy"}
    assert not {"strategy", "seed", "repetition"} & table.facts["settings"].keys()


def test_a_training_that_two_searches_have_done_alike_counts_once_and_as_a_uniform_draw(tmp_path, capsys):
    runs = (make_run(tmp_path / "a", strategy="ppo"), make_run(tmp_path / "b", strategy="random"))
    main(Arguments(runs=runs, output=tmp_path / "cells.csv.gz"))
    assert "2 trainings of 2 cells, 0 of them repeated" in capsys.readouterr().out
    assert {row.strategy for row in read_table(tmp_path / "cells.csv.gz").rows} == {"random"}


def test_longer_trainings_of_cells_are_kept_apart_and_those_of_fixed_points_left_out(tmp_path):
    run = make_run(tmp_path / "a")
    config = SearchConfig(space=SpaceConfig(space="paper", blocks=1))
    with RunStore.open(run, identity=identity(config), config=to_mapping(config)) as store:
        for name, seed in (("#3", 8), ("tmanet", 9)):
            cell = store.trials[3].genotype
            store.append(Trial(confirms=name, genotype=cell, status="finished", reward=0.9, seed=seed, epochs=80))
    main(Arguments(runs=(run,), output=tmp_path / "cells.csv.gz"))
    table = read_table(tmp_path / "cells.csv.gz")
    [longer] = [row for row in table.rows if row.strategy == CONFIRMATION]
    assert (longer.key, longer.seed, longer.epochs) == (table.searched[-1].key, 8, 80)
    assert len(table.searched) == 2


def test_runs_of_other_problems_are_refused(tmp_path):
    runs = (make_run(tmp_path / "a"), make_run(tmp_path / "b", features="two", seed=1))
    with pytest.raises(RunError, match="different static networks or data"):
        main(Arguments(runs=runs, output=tmp_path / "cells.csv.gz"))
    assert not (tmp_path / "cells.csv.gz").exists()


def test_runs_that_do_not_say_what_they_learnt_from_are_refused(tmp_path):
    run = make_run(tmp_path / "a")
    (run / "inputs.yaml").unlink()
    with pytest.raises(RunError, match="does not say what its cells were trained on"):
        main(Arguments(runs=(run,), output=tmp_path / "cells.csv.gz"))
