"""The loop's order: what is sampled depends on the seed and the results, never on who finished when."""

import hashlib
import pickle
import random
from dataclasses import replace

import numpy as np
import pytest

from nas.runs.confirmation import final_ranking
from nas.runs.store import RunStore
from nas.runs.trial import Trial
from nas.search import Arguments, remembered_preset, require_streamed_scores, search, warn_of_crowding, warn_of_harm
from nas.settings.config import CandidateConfig, SearchConfig
from nas.settings.errors import RunError
from nas.settings.machine_config import ComputeConfig, MachineConfig
from nas.training.candidates.beside_search import confirm, evaluate_fixed_points
from nas.training.candidates.early_stopping import EarlyStopping
from nas.workers.executor import Result
from searchspace.space import Space

SPACE = Space.load("paper", blocks=2)


class ChainStrategy:
    """Asks for genotypes that depend on every call so far, so that any change of order shows."""

    def __init__(self, repeat_every=0):
        self.calls = []
        self.repeat_every = repeat_every
        self._asked = []

    def ask(self):
        number = len(self._asked)
        digest = hashlib.sha256(repr(self.calls).encode()).digest()
        genotype = SPACE.uniform(np.random.default_rng(list(digest)))
        if self.repeat_every and number % self.repeat_every == self.repeat_every - 1:
            genotype = self._asked[number // 2]
        self._asked.append(genotype)
        self.calls.append(("ask", number))
        return genotype

    def tell(self, trial):
        self.calls.append(("tell", trial.number, trial.reward))


class ShuffledExecutor:
    """Works on up to `workers` jobs at once and finishes them in random order."""

    def __init__(self, workers, seed, fails=lambda job: None):
        self.workers, self.random, self.fails = workers, random.Random(seed), fails
        self.running, self.trained = [], []

    def submit(self, job):
        assert len(self.running) < self.workers
        self.running.append(job)

    def free_slots(self):
        return self.workers - len(self.running)

    def poll(self, timeout):
        if self.random.random() < 0.3:
            return []  # nothing finished in time
        job = self.running.pop(self.random.randrange(len(self.running)))
        self.trained.append(job.number)
        error = self.fails(job)
        if error:
            return [Result(job=job, value=None, error=error, worker="w", seconds=1.0)]
        if job.number is None:
            names = {"fixed_point": job.fixed_point, "confirms": job.confirms, "genotype": job.genotype}
            reward = job.seed % 1000 / 1000 if job.confirms else 0.5
            trial = Trial(**names, status="finished", reward=reward, seed=job.seed, epochs=job.epochs or 0)
            return [Result(job=job, value=trial, error=None, worker="w", seconds=1.0)]
        reward = int(job.genotype.key, 16) / 16**16
        scores = {"reward": reward, "halfway_reward": reward}
        trial = Trial(number=job.number, genotype=job.genotype, status="finished", seed=job.seed, **scores)
        return [Result(job=job, value=trial, error=None, worker="w", seconds=1.0)]

    def close(self):
        pass


class MemoryStore:
    def __init__(self, trials=()):
        self.trials = list(trials)

    def append(self, trial):
        self.trials.append(trial)


def run(workers=1, seed=0, trials=30, lookahead=8, recorded=(), repeat_every=0, fails=lambda job: None):
    strategy, executor = ChainStrategy(repeat_every), ShuffledExecutor(workers, seed, fails)
    store = MemoryStore(recorded)
    search(strategy, executor, store, SearchConfig(trials=trials, lookahead=lookahead), EarlyStopping())
    return strategy, executor, sorted(store.trials, key=lambda trial: trial.number)


def identity(trials):
    return [(t.number, t.genotype, t.reward, t.seed, t.repeat_of, t.status) for t in trials]


@pytest.mark.parametrize("workers", [2, 3, 8])
@pytest.mark.parametrize("seed", range(5))
def test_neither_workers_nor_finishing_order_change_the_trials(workers, seed):
    assert identity(run(workers, seed)[2]) == identity(run()[2])


@pytest.mark.parametrize("lookahead", [1, 3, 8])
def test_trial_n_is_asked_for_exactly_between_the_tells_of_n_minus_lookahead_and_the_next(lookahead):
    calls = run(workers=4, lookahead=lookahead)[0].calls
    for number in range(lookahead, 30):
        position = calls.index(("ask", number))
        told = [call[1] for call in calls[:position] if call[0] == "tell"]
        assert told == list(range(number - lookahead + 1))


@pytest.mark.parametrize("kept", [0, 1, 7, 29, 30])
def test_a_resumed_search_gives_the_trials_of_one_that_was_never_stopped(kept):
    whole = run(workers=2, repeat_every=4)[2]
    survivors = random.Random(kept).sample(whole, kept)  # any subset may be on disk: trials finish out of order
    _, executor, resumed = run(workers=3, seed=1, recorded=survivors, repeat_every=4)
    assert identity(resumed) == identity(whole)
    assert not {trial.number for trial in survivors} & set(executor.trained)


def test_a_repeated_cell_is_not_trained_again_and_says_whose_result_it_is():
    _, executor, trials = run(workers=2, repeat_every=3)
    repeats = [trial for trial in trials if trial.repeat_of is not None]
    assert len(repeats) >= 10
    assert not {trial.number for trial in repeats} & set(executor.trained)
    for trial in repeats:
        assert trial.reward == trials[trial.repeat_of].reward
        assert trials[trial.repeat_of].genotype.key == trial.genotype.key


def test_a_failed_trial_is_recorded_with_its_reason_and_the_search_goes_on():
    def fails(job):
        return "RuntimeError: out of memory" if job.number % 3 == 0 else None

    trials = run(workers=2, fails=fails)[2]
    assert [trial.error for trial in trials[:3]] == ["RuntimeError: out of memory", None, None]
    assert [trial.reward is None for trial in trials] == [number % 3 == 0 for number in range(30)]


def test_a_cell_that_travelled_to_a_worker_and_back_is_not_kept_twice(monkeypatch):
    poll = ShuffledExecutor.poll

    def copied(self, timeout):
        return [replace(result, value=pickle.loads(pickle.dumps(result.value))) for result in poll(self, timeout)]

    monkeypatch.setattr(ShuffledExecutor, "poll", copied)
    strategy, _, trials = run(workers=2)
    assert all(trial.genotype is strategy._asked[trial.number] for trial in trials)


def test_a_search_in_which_the_first_trials_all_fail_alike_stops():
    with pytest.raises(RunError, match="broken"):
        run(fails=lambda job: "ValueError: broken")


def test_the_log_of_another_search_is_refused():
    foreign = Trial(number=0, genotype=SPACE.uniform(np.random.default_rng(99)), status="finished", reward=0.5)
    with pytest.raises(RunError, match="#0"):
        run(recorded=[foreign])


def test_the_static_network_is_scored_once_however_many_seeds_and_never_trained():
    executor, store = ShuffledExecutor(2, 0), MemoryStore()
    jobs, submit = [], executor.submit
    executor.submit = lambda job: (jobs.append(job), submit(job))
    evaluate_fixed_points(executor, store, {"static": None, "per_frame": None}, SearchConfig(fixed_point_seeds=3))
    assert sorted((job.fixed_point, job.epochs) for job in jobs) == 3 * [("per_frame", None)] + [("static", 0)]


@pytest.mark.parametrize(("after", "warned"), [((0.5, 0.6), True), ((0.7,), False), ((0.699,), False), ((), False)])
def test_a_recipe_that_does_harm_is_said_to(after, warned, caplog):
    trials = [Trial(fixed_point="static", status="finished", reward=0.7)]
    trials += [Trial(fixed_point="per_frame", status="finished", reward=r, seed=i) for i, r in enumerate(after)]
    warn_of_harm(trials)
    assert ("does harm: the static network as it is has a reward of 0.7000" in caplog.text) == warned
    assert ("(per_frame) 0.5500" in caplog.text) == warned


@pytest.mark.parametrize(("workers", "threads", "warned"), [(1, 8, False), (2, 2, False), (2, 4, True), (4, 1, False)])
def test_more_threads_than_cores_are_said_to_be_slow(workers, threads, warned, monkeypatch, caplog):
    monkeypatch.setattr("nas.search.usable_cores", lambda: 4)
    warn_of_crowding(
        SearchConfig(machine=MachineConfig(workers=workers), compute=ComputeConfig(device="cpu", threads=threads))
    )
    assert ("--workers 1" in caplog.text) == warned


@pytest.mark.parametrize("seed", range(5))
def test_every_fixed_point_is_evaluated_once_and_before_the_search(seed):
    executor, store = ShuffledExecutor(2, seed), MemoryStore()
    named = {"a": None, "b": SPACE.uniform(np.random.default_rng(0)), "c": None}
    evaluate_fixed_points(executor, store, named, SearchConfig())
    assert sorted(trial.fixed_point for trial in store.trials) == ["a", "b", "c"]
    assert not executor.running
    evaluate_fixed_points(executor, store, named, SearchConfig())
    assert len(store.trials) == 3
    evaluate_fixed_points(executor, store, named, SearchConfig(fixed_point_seeds=3))
    assert sorted(trial.fixed_point for trial in store.trials) == 3 * ["a"] + 3 * ["b"] + 3 * ["c"]
    assert len({(trial.fixed_point, trial.seed) for trial in store.trials}) == 9


def jobs_of(**settings):
    """The jobs of a search of ten trials, by number."""
    jobs = {}
    executor = ShuffledExecutor(1, 0, lambda job: jobs.update({job.number: job}))
    search(ChainStrategy(), executor, MemoryStore(), SearchConfig(trials=10, **settings), EarlyStopping())
    return jobs


def test_another_repetition_trains_the_same_first_cells_with_other_seeds():
    first, again, third = (jobs_of(lookahead=10, repetition=repetition) for repetition in (0, 1, 2))
    for number, job in first.items():
        seeds = {job.seed, again[number].seed, third[number].seed}
        assert (len(seeds), job.genotype) == (3, again[number].genotype)


def test_half_way_is_measured_where_nothing_is_stopped_if_told_so():
    plain = jobs_of(candidate=CandidateConfig(early_stop=False))
    measured = jobs_of(candidate=CandidateConfig(early_stop=False, measure_halfway=True))
    assert all(job.halfway is None for job in plain.values())
    assert all(job.halfway.keeps_going(0.0) for job in measured.values())


def test_early_stopping_sees_each_trained_cell_once(monkeypatch):
    seen = []
    monkeypatch.setattr(EarlyStopping, "observe", lambda self, reward: seen.append(reward))
    trials = run(repeat_every=3)[2]
    assert seen == [trial.halfway_reward if trial.repeat_of is None else None for trial in trials]
    assert None in seen


def test_rewards_of_windows_are_not_mixed_with_streamed_ones(tmp_path):
    streamed = {"miou": 0.4, "agreement": 0.9}
    with RunStore.open(tmp_path, identity={}, config={}) as store:
        store.append(Trial(number=0, status="failed", error="crash: gone"))
        store.append(Trial(number=1, status="finished", reward=0.5, metrics=streamed))
        require_streamed_scores(store)
        store.append(Trial(number=2, status="finished", reward=0.5, metrics={"miou": 0.4}))
        with pytest.raises(RunError, match=f"{tmp_path} were scored otherwise than today: .*--fork"):
            require_streamed_scores(store)


def test_a_run_remembers_its_preset_and_hands_it_to_those_that_start_from_it(tmp_path):
    def preset_in(name, **words):
        with RunStore.open(tmp_path / name, identity={}, config={}) as store:
            return remembered_preset(store, Arguments(**words))

    assert preset_in("bare") is None
    assert preset_in("run", preset="laptop") == "laptop"
    assert preset_in("run", run=tmp_path / "run") == "laptop"
    assert preset_in("fork", run=tmp_path / "run", fork="fork") == "laptop"
    assert preset_in("fork") == "laptop"
    assert preset_in("run", run=tmp_path / "run", preset="quick") == "quick"
    assert preset_in("run") == "quick"


NAMED = {"per_frame": None, "a": SPACE.uniform(np.random.default_rng(0))}


def confirmed_run(workers, seed, trials=10, recorded=()):
    """A whole run: fixed points, a search, its confirmation; its strategy, executor, and log."""
    strategy, executor, store = ChainStrategy(), ShuffledExecutor(workers, seed), MemoryStore(recorded)
    config = SearchConfig(trials=trials, confirm=2, confirm_seeds=3, fixed_points=tuple(NAMED))
    evaluate_fixed_points(executor, store, NAMED, config)
    search(strategy, executor, store, config, EarlyStopping())
    confirm(executor, store, config)
    return strategy, executor, store.trials


def test_a_confirmation_trains_longer_and_tells_the_strategy_nothing():
    strategy, _, log = confirmed_run(2, 0)
    again = [trial for trial in log if trial.confirms]
    assert len(again) == (2 + 2) * 3
    assert {trial.epochs for trial in again} == {2 * CandidateConfig().epochs}
    assert strategy.calls == run(trials=10)[0].calls
    assert len({trial.seed for trial in log}) == len(log)


@pytest.mark.parametrize("kept", [0, 9, 12, 15, 23, 24])
def test_a_resumed_confirmation_gives_what_one_gives_that_was_never_stopped(kept):
    whole = confirmed_run(2, 0)[2]
    _, executor, resumed = confirmed_run(3, 1, recorded=whole[:kept])
    assert sorted(map(repr, resumed)) == sorted(map(repr, whole))
    assert len(executor.trained) == len(whole) - kept
    assert final_ranking(resumed) == final_ranking(whole)


def test_a_longer_search_confirms_what_is_missing():
    short = confirmed_run(2, 0)[2]
    log = confirmed_run(1, 0, trials=30, recorded=short)[2]
    assert log[: len(short)] == short
    best = sorted((trial for trial in log if trial.number is not None), key=lambda trial: trial.reward)[-2:]
    assert {trial.name for trial in best} <= {trial.confirms for trial in log}
    again = [(trial.confirms, trial.seed) for trial in log if trial.confirms]
    assert len(set(again)) == len(again)
