import json
from dataclasses import replace

import pytest

from baselines.fixed_points import FIXED_POINTS
from nas.runs.trial import Trial
from nas.settings.config import SearchConfig
from nas.settings.errors import RunError
from nas.settings.strategy_config import ControllerConfig
from nas.strategies.catalog import make_strategy
from nas.strategies.tune_searcher import StrategySearcher
from searchspace.genotype import Genotype
from searchspace.space import Space

SPACE = Space.load("video")


def config(strategy="ppo", seed=1, lookahead=3):
    return SearchConfig(strategy=strategy, seed=seed, lookahead=lookahead, controller=ControllerConfig(hidden=10))


def score(genotype):
    return sum(block.aggregation.name == "concat" for block in genotype.blocks) / len(genotype.blocks)


def finish(searcher, trial_id, suggestion):
    searcher.on_trial_complete(trial_id, {"reward": score(Genotype.from_json(suggestion["genotype"]))})


def in_order(settings, count):
    """The cells that a search with this configuration evaluates."""
    strategy, cells = make_strategy(settings, SPACE), []
    for number in range(count):
        if number >= settings.lookahead:
            told = number - settings.lookahead
            reward = score(cells[told])
            strategy.tell(Trial(number=told, genotype=cells[told], status="finished", reward=reward))
        cells.append(strategy.ask())
    return [cell.to_json() for cell in cells]


@pytest.mark.parametrize("strategy", ["ppo", "evolution"])
@pytest.mark.parametrize("newest_first", [False, True])
def test_cells_are_those_of_a_search_whatever_finishes_first(strategy, newest_first):
    searcher, running, suggested = StrategySearcher(config(strategy)), {}, []
    while len(suggested) < 12:
        suggestion = searcher.suggest(f"trial{len(suggested)}")
        if suggestion is None:  # the look-ahead is used up: something must finish
            trial_id = list(running)[-1 if newest_first else 0]
            finish(searcher, trial_id, running.pop(trial_id))
        else:
            running[f"trial{len(suggested)}"] = suggestion
            suggested.append(suggestion["genotype"])
    assert suggested == in_order(config(strategy), 12)


def test_a_restored_searcher_goes_on_as_if_nothing_had_happened(tmp_path):
    straight, killed = StrategySearcher(config()), StrategySearcher(config())
    for searcher in (straight, killed):
        suggestions = [searcher.suggest(f"trial{number}") for number in range(3)]
        finish(searcher, "trial2", suggestions[2])
        finish(searcher, "trial0", suggestions[0])
        finish(searcher, "trial3", searcher.suggest("trial3"))
    killed.save(str(tmp_path / "state.json"))
    restored = StrategySearcher(config())
    restored.restore(str(tmp_path / "state.json"))
    for searcher in (straight, restored):
        assert searcher.suggest("trial4") is None  # trial1 was running when it was saved
        finish(searcher, "trial1", suggestions[1])
    for trial_id in ("trial4", "trial5", "trial6"):
        suggestion = restored.suggest(trial_id)
        assert suggestion == straight.suggest(trial_id)
        for searcher in (straight, restored):
            finish(searcher, trial_id, suggestion)


@pytest.mark.parametrize(
    "outcome",
    [
        pytest.param({"result": None, "error": True}, id="raised"),
        pytest.param({"result": {"reward": 0.5}, "error": True}, id="raised after a report"),
        pytest.param({"result": {"reward": float("nan")}}, id="not a number"),
        pytest.param({"result": {"another": 0.5}}, id="never reported the reward"),
    ],
)
def test_a_trial_without_a_finite_reward_is_told_as_failed(outcome):
    told = []
    searcher = StrategySearcher(config(lookahead=1))
    searcher._strategy.tell = told.append
    searcher.suggest("a")
    searcher.on_trial_complete("a", **outcome)
    assert searcher.suggest("b") is not None
    assert [(trial.status, trial.reward) for trial in told] == [("failed", None)]


def test_a_state_of_another_configuration_is_refused(tmp_path):
    searcher = StrategySearcher(config(seed=1))
    searcher.suggest("a")
    searcher.save(str(tmp_path / "state.json"))
    with pytest.raises(RunError, match=r"state\.json is of another configuration: trial 0"):
        StrategySearcher(config(seed=2)).restore(str(tmp_path / "state.json"))


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"suggested": [1], "rewards": {}}), '{"rewards": 3}'])
def test_a_damaged_state_is_refused(tmp_path, text):
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(RunError, match=r"state\.json is not the state of a searcher"):
        StrategySearcher(config()).restore(str(tmp_path / "state.json"))


@pytest.fixture
def private_ray(monkeypatch):
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_worker_niceness", "0")
    monkeypatch.setenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    yield
    ray.shutdown()


@pytest.mark.slow
def test_tune_runs_the_cells_of_a_search_and_restores_them(private_ray, tmp_path):
    from ray import tune

    class Score(tune.Trainable):
        def setup(self, config):
            self.genotype = Genotype.from_json(config["genotype"])

        def reset_config(self, new_config):
            self.setup(new_config)
            return True

        def step(self):
            return {"reward": score(self.genotype), "done": True}

        def save_checkpoint(self, checkpoint_dir):
            return None

    searcher = StrategySearcher(config())
    tuner = tune.Tuner(
        Score,
        tune_config=tune.TuneConfig(
            search_alg=searcher, num_samples=8, max_concurrent_trials=2, reuse_actors=True, metric="reward", mode="max"
        ),
        run_config=tune.RunConfig(name="cells", storage_path=str(tmp_path), verbose=0),
    )
    results = tuner.fit()
    assert results.num_errors == 0
    expected = in_order(config(), 8)
    key = json.dumps
    assert sorted(key(result.config["genotype"]) for result in results) == sorted(map(key, expected))
    assert results.get_best_result().metrics["reward"] == max(score(Genotype.from_json(cell)) for cell in expected)

    restored = StrategySearcher(config())
    restored.restore_from_dir(str(tmp_path / "cells"))
    assert restored.suggest("next")["genotype"] == in_order(config(), 9)[8]


def test_a_warm_start_is_from_the_fixed_points_as_in_a_search():
    settings = replace(config("evolution"), warm_start=True, fixed_points=("per_frame", "tmanet"))
    assert StrategySearcher(settings).suggest("first") == {"genotype": FIXED_POINTS["tmanet"].to_json()}


def test_a_target_of_cost_is_left_to_the_rewards_as_tune_tells_no_costs():
    under = replace(config(), candidate=replace(config().candidate, max_cost=0.5))
    cells = []
    for settings in (config(), under):
        searcher = StrategySearcher(settings)
        for number in range(12):
            suggestion = searcher.suggest(f"trial{number}")
            cells.append(suggestion)
            finish(searcher, f"trial{number}", suggestion)
    assert cells[:12] == cells[12:]
