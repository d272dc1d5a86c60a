import pytest
import torch

from baselines.fixed_points import FIXED_POINTS
from nas.runs.trial import Trial
from nas.settings.config import SearchConfig
from nas.settings.config_files import identity
from nas.settings.errors import RunError
from nas.settings.strategy_config import ControllerConfig, EvolutionConfig, PPOConfig
from nas.strategies.catalog import make_strategy
from nas.strategies.evolution import Evolution
from nas.strategies.ppo import PPO
from searchspace.errors import SpaceError
from searchspace.space import Space

SPACE = Space.load("video")
CELLS = [FIXED_POINTS[name] for name in ("tmanet", "lmanet", "tdnet")]
TOKENS = torch.tensor([SPACE.tokens(cell) for cell in CELLS])


def test_a_warm_controller_is_half_way_between_its_start_and_certainty():
    cold = PPO(SPACE, ControllerConfig(), PPOConfig(), seed=0).controller.log_prob(TOKENS).mean().item()
    warm = PPO(SPACE, ControllerConfig(), PPOConfig(), 0, CELLS).controller.log_prob(TOKENS).mean().item()
    assert cold / 2 * 1.05 < warm < cold / 4
    again = PPO(SPACE, ControllerConfig(), PPOConfig(), 0, CELLS).controller.log_prob(TOKENS).mean().item()
    assert again == warm


def test_a_warm_controller_samples_what_resembles_the_fixed_points():
    def shared(strategy):
        asked = torch.tensor([SPACE.tokens(strategy.ask()) for _ in range(40)])
        return (asked[:, None] == TOKENS).float().mean(2).amax(1).mean().item()

    cold, warm = (shared(PPO(SPACE, ControllerConfig(), PPOConfig(), 0, cells)) for cells in ((), CELLS))
    assert warm > cold + 0.15


def test_evolution_starts_with_the_fixed_points():
    strategy = Evolution(SPACE, EvolutionConfig(), 0, CELLS)
    assert [strategy.ask() for _ in CELLS] == CELLS
    assert strategy.ask() not in CELLS


def test_guided_ppo_proposes_the_fixed_points_first_and_then_what_is_like_the_best_of_them():
    strategy = make_strategy(SearchConfig(warm_start=True), SPACE, CELLS)
    assert [strategy.ask() for _ in CELLS] == CELLS
    for number in range(40):  # a cell is worth as many tokens as it shares with TMANet's
        genotype = strategy.pending_cells()[0]
        shared = (torch.tensor(SPACE.tokens(genotype)) == TOKENS[0]).float().mean().item()
        strategy.tell(Trial(number=number, genotype=genotype, status="finished", reward=shared))
        asked = torch.tensor(SPACE.tokens(strategy.ask()))
    assert (asked == TOKENS[0]).float().mean() > 0.8


def test_a_cold_start_is_the_default_and_random_search_has_no_other():
    cold = make_strategy(SearchConfig(strategy="evolution"), SPACE, CELLS)
    assert cold.ask() not in CELLS
    with pytest.raises(RunError, match="needs --strategy ppo or ppo_plain or evolution"):
        make_strategy(SearchConfig(strategy="random", warm_start=True), SPACE, CELLS)


def test_a_warm_start_from_no_cell_is_refused():
    with pytest.raises(RunError, match="no cell to start from: name one with --fixed-points"):
        make_strategy(SearchConfig(warm_start=True), SPACE, [None])


def test_only_a_warm_start_binds_a_run_to_its_fixed_points():
    cold, warm = (
        [identity(SearchConfig(warm_start=warm, fixed_points=names)) for names in (("tmanet",), ("tdnet",))]
        for warm in (False, True)
    )
    assert cold[0] == cold[1]
    assert warm[0] != warm[1]


@pytest.mark.parametrize("name", ["ppo", "ppo_plain", "evolution"])
def test_a_fixed_point_outside_the_space_is_refused(name):
    with pytest.raises(SpaceError, match="not in space paper"):
        make_strategy(SearchConfig(strategy=name, warm_start=True), Space.load("paper"), CELLS)
