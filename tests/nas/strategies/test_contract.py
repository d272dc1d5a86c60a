"""What every strategy keeps to; a new one is tested by being listed in the catalog."""

import random
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from baselines.fixed_points import FIXED_POINTS
from nas.runs.trial import Trial
from nas.settings.config import SearchConfig
from nas.settings.strategy_config import ControllerConfig, EvolutionConfig
from nas.strategies.catalog import STRATEGIES, make_strategy
from nas.strategies.saved_strategy import SavedStrategy
from nas.strategies.strategy import Resumable, Strategy
from searchspace.errors import SpaceError
from searchspace.space import Space

SPACE = Space.load("paper")
TRIALS, FAILED = 30, 4
ABLE = [name for name, row in STRATEGIES.items() if row.starts_from_cells]


def make(name, seed=1, space=SPACE, start=(), **settings):
    small = {"controller": ControllerConfig(hidden=10), "evolution": EvolutionConfig(population=10)}
    return make_strategy(SearchConfig(strategy=name, seed=seed, **small, **settings), space, start)


def trial(number, cell, best="concat"):
    """How a cell does: well if its first block aggregates by `best`; one trial fails."""
    if number == FAILED:
        return Trial(number=number, genotype=cell, status="failed", error="crash: gone")
    reward = float(cell.blocks[0].aggregation.name == best)
    return Trial(number=number, genotype=cell, status="finished", reward=reward)


@dataclass
class Search:
    """A strategy being asked and told, `lookahead` ahead."""

    strategy: Strategy
    lookahead: int = 4
    best: str = "concat"
    cells: list = field(default_factory=list)

    def go(self, trials=TRIALS):
        while len(self.cells) < trials:
            told = len(self.cells) - self.lookahead
            if told >= 0:
                self.strategy.tell(trial(told, self.cells[told], self.best))
            self.cells.append(self.strategy.ask())
        return self.cells


@pytest.mark.parametrize("name", STRATEGIES)
class TestStrategy:
    @pytest.mark.parametrize("lookahead", [1, 8])
    def test_it_is_a_function_of_its_seed_and_of_what_it_was_told(self, name, lookahead):
        first = Search(make(name), lookahead).go()
        assert Search(make(name), lookahead).go() == first
        assert Search(make(name, seed=2), lookahead).go() != first

    def test_every_cell_it_asks_for_is_in_the_space(self, name):
        for space in (SPACE, Space.load("video", blocks=1)):
            for cell in Search(make(name, space=space)).go():
                assert space.genotype(space.tokens(cell)) == cell

    def test_no_random_state_but_its_own_matters(self, name):
        first = Search(make(name)).go()
        random.seed(5)
        np.random.seed(5)
        torch.manual_seed(5)
        assert Search(make(name)).go() == first

    def test_a_replayed_log_rebuilds_it(self, name):
        whole, lookahead = Search(make(name)).go(), 4
        log = [trial(number, cell) for number, cell in enumerate(whole[:17])]
        fresh, asked = make(name), []
        for told in range(-lookahead, 17):  # as the search does: trial n between the tells of n - L and n - L + 1
            if told >= 0:
                fresh.tell(log[told])
            asked.append(fresh.ask())
        assert asked == whole[:21]

    def test_two_of_one_process_do_not_disturb_each_other(self, name):
        whole = Search(make(name)).go()
        one, other = Search(make(name)), Search(make(name, seed=2))
        for trials in range(1, TRIALS + 1):
            one.go(trials)
            other.go(trials)
        assert one.cells == whole

    def test_a_failure_is_over_and_is_no_reward(self, name):
        """If nothing but failures were told, it asks for what it would ask for if nothing were known."""
        failing, silent = make(name), make(name)
        cells = []
        for number in range(TRIALS):
            cells.append(failing.ask())
            failing.tell(Trial(number=number, genotype=cells[-1], status="failed", error="crash: gone"))
        assert cells == [silent.ask() for _ in range(TRIALS)]

    def test_what_it_saves_goes_on_as_if_it_had_never_been_stopped(self, name, tmp_path):
        if not isinstance(make(name), Resumable):
            pytest.skip(f"{name} saves nothing: its log is replayed")
        whole = Search(make(name)).go()
        log = [trial(number, cell) for number, cell in enumerate(whole)]
        Search(SavedStrategy(make(name), tmp_path / "strategy.pt", [], lookahead=4)).go()
        assert (tmp_path / "strategy.pt").exists()
        resumed = SavedStrategy(make(name), tmp_path / "strategy.pt", log, lookahead=4)
        assert Search(resumed).go() == whole


@pytest.mark.parametrize("name", ABLE)
class TestWarmStart:
    CELLS = tuple(FIXED_POINTS[name] for name in ("tmanet", "lmanet", "tdnet"))

    def test_it_asks_for_other_cells_than_from_a_cold_start(self, name):
        video = Space.load("video")
        warm, cold = (make(name, space=video, start=self.CELLS, warm_start=start) for start in (True, False))
        assert Search(warm).go(3) != Search(cold).go(3)

    def test_cells_that_are_not_in_the_space_are_refused(self, name):
        with pytest.raises(SpaceError, match="not in space paper"):
            make(name, start=self.CELLS, warm_start=True)
