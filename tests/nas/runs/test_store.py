"""The run directory: what is recorded stays recorded, whatever ends the process; damage and strangers are refused."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.runs.store import RunStore, read_config, read_inputs, read_settings, read_trials
from nas.runs.trial import Trial
from nas.settings import older_files
from nas.settings.config import CandidateConfig, SearchConfig, StaticConfig
from nas.settings.config_files import identity, read_mapping, to_mapping, write_mapping
from nas.settings.errors import RunError
from nas.settings.machine_config import MachineConfig
from nas.settings.strategy_config import PPOConfig
from searchspace.genotype import Block, Choice, Genotype

SKIP, CONCAT = Choice("skip"), Choice("concat")
CELL = Genotype((Block(("past.dec", "cur.layer2"), (SKIP, SKIP), CONCAT),))
CONFIG = SearchConfig(
    static=StaticConfig(scale_range=(0.75, 1.5)), machine=MachineConfig(data_root=Path("/data/camvid"))
)


def sampled(number):
    metrics = {"miou": 0.4, "loss": 0.1 + number}
    return Trial(number=number, genotype=CELL, status="finished", reward=0.5, metrics=metrics, seed=7, seconds=1.5)


FIXED = Trial(fixed_point="per_frame", status="finished", reward=0.61)
FAILED = Trial(number=2, genotype=CELL, status="failed", error="ValueError: Übergröße\u2028 of a frame")


def opened(directory, config=CONFIG):
    return RunStore.open(directory, identity=identity(config), config=to_mapping(config))


def filled(directory, *trials):
    with opened(directory) as store:
        for trial in trials:
            store.append(trial)
    return directory / "trials.jsonl"


def test_trials_come_back_as_they_were_in_the_order_of_appending(tmp_path):
    run = tmp_path / "deep" / "run"
    trials = [FIXED, sampled(1), FAILED, sampled(0)]
    log = filled(run, *trials)
    with opened(run) as store:
        assert list(store.trials) == trials
        store.append(sampled(3))
    assert read_trials(run) == [*trials, sampled(3)]
    assert [json.loads(line)["number"] for line in log.read_text().splitlines()] == [None, 1, 2, 0, 3]


def test_a_trial_is_not_logged_twice_nor_with_a_number_that_is_none(tmp_path):
    log = filled(tmp_path, sampled(0), FIXED)
    with opened(tmp_path) as store:
        for trial in (sampled(0), replace(FIXED, reward=0.1)):
            with pytest.raises(ValueError, match="already"):
                store.append(trial)
        with pytest.raises(ValueError, match="not JSON compliant"):
            store.append(replace(sampled(1), seconds=float("nan")))
    assert len(log.read_text().splitlines()) == 2


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_a_log_cut_inside_its_last_line_loses_only_that_line(tmp_path_factory, data):
    run = tmp_path_factory.mktemp("run")
    log = filled(run, FIXED, FAILED, sampled(3))
    whole = log.read_bytes()
    last = whole[:-1].rfind(b"\n") + 1
    log.write_bytes(whole[: data.draw(st.integers(last, len(whole) - 1))])
    assert read_trials(run) == [FIXED, FAILED]
    with opened(run) as store:
        assert list(store.trials) == [FIXED, FAILED]
        assert log.read_bytes() == whole[:last]
        store.append(sampled(3))
    assert log.read_bytes() == whole


@pytest.mark.parametrize(
    "line",
    [
        b'{"schema": 1, "number": 1, "sta',
        b"",
        b"\0\0\0\0",
        b"\xff\xfe",
        b"[]",
        b'{"schema": 99}',
        b"[" * 100_000,
        pytest.param(json.dumps(sampled(0).to_json()).encode(), id="a second trial 0"),
        pytest.param(json.dumps(sampled(1).to_json() | {"colour": 1}).encode(), id="a field too many"),
    ],
)
def test_damage_before_the_last_line_is_refused_with_its_place_and_left_alone(tmp_path, line):
    log = filled(tmp_path, sampled(0), sampled(1), sampled(2))
    lines = log.read_bytes().split(b"\n")
    log.write_bytes(b"\n".join([lines[0], line, *lines[2:]]))
    damaged = log.read_bytes()
    for read in (lambda: read_trials(tmp_path), opened(tmp_path).__enter__):
        with pytest.raises(RunError, match=r"trials\.jsonl, line 2 is .*restore the file"):
            read()
    assert log.read_bytes() == damaged


@pytest.mark.parametrize("name", ["trials.jsonl", "config.yaml"])
def test_a_flipped_byte_is_refused_or_changes_nothing(tmp_path, name):
    """One bit makes 0.5 a 0.4, which reads as well; the drill of flipped bytes goes through all of them."""
    filled(tmp_path, FIXED, sampled(1), FAILED)
    trials, config, path = read_trials(tmp_path), read_config(tmp_path), tmp_path / name
    whole = path.read_bytes()
    for position in range(0, len(whole) - 1, 7):  # without its last newline, the last trial was never finished
        changed = bytearray(whole)
        changed[position] ^= 1
        path.write_bytes(changed)
        with contextlib.suppress(RunError):
            assert (read_trials(tmp_path), read_config(tmp_path)) == (trials, config)


def test_a_log_and_settings_without_checksums_are_read(tmp_path):
    log, config = filled(tmp_path, FIXED, FAILED), tmp_path / "config.yaml"
    expected = read_config(tmp_path)
    lines = [json.dumps(trial.to_json()) for trial in (FIXED, FAILED)]
    log.write_text("\n".join(lines) + "\n")
    config.write_text(config.read_text().partition("\n")[2])
    assert (read_trials(tmp_path), read_config(tmp_path)) == ([FIXED, FAILED], expected)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("reward", 1.5),
        ("reward", float("nan")),
        ("reward", "0.5"),
        ("reward", True),
        ("number", 1.0),
        ("number", True),
        ("number", 10**400),
        ("number", -1),
        ("status", "done"),
        ("metrics", {"miou": float("inf")}),
        ("metrics", {"miou": None}),
        ("metrics", [1]),
        ("cost", {"macs": 10**400}),
        ("seconds", None),
        ("worker", None),
        ("error", 3),
        ("genotype", {}),
    ],
    ids=str,
)
def test_a_field_that_no_trial_has_is_refused(tmp_path, field, value):
    log = filled(tmp_path)
    log.write_text(json.dumps(sampled(1).to_json() | {field: value}) + "\n")
    with pytest.raises(RunError, match=r"trials\.jsonl, line 1 is damaged"):
        read_trials(tmp_path)


def test_other_settings_are_refused_with_each_difference_and_the_ways_out(tmp_path):
    filled(tmp_path, sampled(0))
    saved = (tmp_path / "config.yaml").read_bytes()
    other = replace(CONFIG, strategy="random", candidate=CandidateConfig(epochs=10, measure_halfway=True))
    with pytest.raises(RunError) as caught, opened(tmp_path, other):
        pass
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{tmp_path} holds a run that differs from this one:"
    assert lines[1:-1] == [
        "  candidate.epochs: 20 in the run, 10 now",
        "  candidate.measure_halfway: False in the run, True now",
        "  strategy: ppo in the run, random now",
    ]
    assert "--run" in lines[-1]
    assert "--fork" in lines[-1]
    assert (tmp_path / "config.yaml").read_bytes() == saved


def rewritten(directory, change):
    """Make a run with a trial whose settings are on disk as `change` leaves them."""
    filled(directory, sampled(0))
    settings = read_mapping(directory / "config.yaml")
    change(settings)
    write_mapping(directory / "config.yaml", settings)


def forget(settings):
    """Take away what the first runs did not have."""
    for section, names in {"candidate": ["objective", "measure_halfway"], "static": ["encoder"]}.items():
        for name in names:
            del settings[section][name]
    del settings["warm_start"], settings["repetition"]


def test_a_run_from_before_a_setting_goes_on_where_the_setting_is_what_was_done_then(tmp_path):
    rewritten(tmp_path, forget)
    with opened(tmp_path) as store:
        assert list(store.trials) == [sampled(0)]
    for other in (replace(CONFIG, repetition=1), replace(CONFIG, candidate=CandidateConfig(measure_halfway=True))):
        with pytest.raises(RunError, match=r"(repetition: 0|measure_halfway: False) in the run, (1|True) now"):
            opened(tmp_path, other).__enter__()


def test_a_run_of_labels_alone_is_not_continued_with_a_teacher(tmp_path):
    """Candidates learn from the static network by default; those of before did not, and did not say so."""
    learnt = {"dec_weight": 0.0, "logit_weight": 0.0, "label_weight": 1.0, "schedule": "constant"}

    def labels_alone(settings):
        for name in learnt:
            del settings["candidate"][name]

    rewritten(tmp_path, labels_alone)
    with pytest.raises(RunError, match=r"candidate\.logit_weight: 0\.0 in the run, 1\.0 now"), opened(tmp_path):
        pass
    with opened(tmp_path, replace(CONFIG, candidate=CandidateConfig(**learnt))) as store:
        assert list(store.trials) == [sampled(0)]


def test_what_was_done_before_a_setting_does_not_follow_its_default(tmp_path, monkeypatch):
    monkeypatch.setitem(older_files.BEFORE, "lookahead", 3)
    rewritten(tmp_path, lambda settings: settings.pop("lookahead"))
    assert read_settings(tmp_path).lookahead == 3
    with pytest.raises(RunError, match="lookahead: 3 in the run, 8 now"), opened(tmp_path):
        pass
    with opened(tmp_path, replace(CONFIG, lookahead=3)):
        pass


def test_settings_written_otherwise_but_the_same_are_the_same(tmp_path):
    def by_hand(settings):
        settings["candidate"]["learning_rate"], settings["ppo"]["buffer"] = "8e-3", 32

    rewritten(tmp_path, by_hand)
    with opened(tmp_path):
        pass


def test_a_run_with_a_setting_that_this_version_does_not_know_is_refused_by_name(tmp_path):
    rewritten(tmp_path, lambda settings: settings["candidate"].update(magic=1))
    with pytest.raises(RunError, match=f"{tmp_path}.*magic"), opened(tmp_path):
        pass


def test_a_run_without_trials_is_no_obstacle_to_other_settings(tmp_path):
    with opened(tmp_path) as store:
        store.bind("features", "3fe0")
    other = replace(CONFIG, strategy="random")
    with opened(tmp_path, other) as store:
        store.bind("features", "aa11")
    assert read_settings(tmp_path) == other
    with opened(tmp_path, other) as store:
        store.bind("features", "bb22")  # nothing was computed from the first ones
        store.append(sampled(0))
        with pytest.raises(RunError, match="features: bb22 in the run, cc33 now"):
            store.bind("features", "cc33")


def test_settings_outside_the_identity_may_differ_and_the_first_ones_stay(tmp_path):
    filled(tmp_path)
    with opened(tmp_path, replace(CONFIG, machine=MachineConfig(workers=8))):
        pass
    assert read_settings(tmp_path) == CONFIG


positive = st.floats(min_value=1e-12, max_value=1e12)


@settings(max_examples=50, deadline=None)
@given(rate=positive, decay=st.floats(0, 1, exclude_max=True), seed=st.integers(), trials=st.integers(1, 10**6))
def test_any_settings_equal_themselves_after_a_stay_on_disk(tmp_path_factory, rate, decay, seed, trials):
    run, ppo = tmp_path_factory.mktemp("run"), PPOConfig(learning_rate=rate, baseline_decay=decay)
    config = replace(CONFIG, ppo=ppo, seed=seed, trials=trials)
    filled(run)
    for number in range(2):
        with opened(run, config) as store:
            store.append(sampled(number))
    assert read_settings(run) == config


def test_inputs_known_later_are_kept_and_compared(tmp_path):
    with opened(tmp_path) as store:
        store.bind("features", "3fe0")
        store.bind("windows", 42)
        store.bind("features", "3fe0")
        store.append(sampled(0))
    with opened(tmp_path) as store, pytest.raises(RunError, match=r"features: 3fe0 in the run, 99aa now\n.*--fork"):
        store.bind("features", "99aa")
    assert (tmp_path / "inputs.yaml").read_text().endswith("\nfeatures: 3fe0\nwindows: 42\n")


def test_a_note_is_kept_beside_the_inputs_and_may_change(tmp_path):
    assert read_inputs(tmp_path) == {}
    with opened(tmp_path) as store:
        store.bind("features", "3fe0")
        store.note("preset", "laptop")
        store.append(sampled(0))
    with opened(tmp_path) as store:
        store.bind("features", "3fe0")
        assert read_inputs(tmp_path) == {"features": "3fe0", "preset": "laptop"}
        store.note("preset", "quick")
    assert read_inputs(tmp_path) == {"features": "3fe0", "preset": "quick"}


def test_what_is_no_run_is_not_read(tmp_path):
    for read in (read_trials, read_config):
        with pytest.raises(RunError, match=r"there is no run in .*nowhere"):
            read(tmp_path / "nowhere")
    filled(tmp_path)
    assert read_trials(tmp_path) == []


def test_a_directory_that_cannot_hold_a_run_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"no run can be written to .*--run"), opened(tmp_path / "file" / "run"):
        pass
    filled(tmp_path / "run", sampled(0))
    (tmp_path / "run" / "config.yaml").unlink()
    with pytest.raises(RunError, match=r"has trials but no config\.yaml"), opened(tmp_path / "run"):
        pass
    (tmp_path / "run" / "config.yaml").write_text("seed: [")
    with pytest.raises(RunError, match=r"config\.yaml is not YAML"), opened(tmp_path / "run"):
        pass


APPEND_FOR_EVER = """
import itertools, sys
from pathlib import Path
from nas.runs.store import RunStore
from nas.runs.trial import Trial
with RunStore.open(Path(sys.argv[1]), identity={}, config={}) as store:
    for number in itertools.count(len(store.trials)):
        store.append(Trial(number=number, status="failed", error="some reason " * 50))
        print(number, flush=True)
"""


def start_appending(run):
    return subprocess.Popen([sys.executable, "-c", APPEND_FOR_EVER, run], stdout=subprocess.PIPE, text=True)


def test_a_second_writer_is_refused_while_the_first_lives_and_readers_are_not(tmp_path):
    with start_appending(tmp_path) as first:
        first.stdout.readline()
        try:
            with (
                pytest.raises(RunError, match="another search is writing to"),
                RunStore.open(tmp_path, identity={}, config={}),
            ):
                pass
            assert len(read_trials(tmp_path)) >= 1
        finally:
            first.kill()
    with RunStore.open(tmp_path, identity={}, config={}) as store:
        assert len(store.trials) >= 1


def test_what_a_killed_process_left_half_written_is_removed(tmp_path):
    for name in (".strategy.pt.123.tmp", ".controller.pt.9.tmp", "strategy.pt", ".report.md.5.tmp"):
        (tmp_path / name).touch()
    with opened(tmp_path):
        assert {".report.md.5.tmp", "strategy.pt"} <= {path.name for path in tmp_path.iterdir()}  # of other commands
        assert not list(tmp_path.glob(".*.pt.*.tmp"))


def test_after_kill_9_every_acknowledged_trial_is_there_once(tmp_path):
    acknowledged = 0
    for _ in range(3):
        with start_appending(tmp_path) as writer:
            assert int(writer.stdout.readline()) >= acknowledged
            time.sleep(0.2)
            writer.kill()
            acknowledged = int(writer.stdout.read().split("\n")[-2]) + 1
        numbers = [trial.number for trial in read_trials(tmp_path)]
        assert numbers == list(range(len(numbers)))
        assert acknowledged <= len(numbers) <= acknowledged + 1  # the last may be on disk and not yet acknowledged


FILL_THE_DISK = """
import resource, sys
from pathlib import Path
from nas.runs.store import RunStore
from nas.runs.trial import Trial
def trial(number): return Trial(number=number, status="failed", error="some reason " * 50)
with RunStore.open(Path(sys.argv[1]), identity={}, config={}) as store:
    store.append(trial(0))
    log, unlimited = store.directory / "trials.jsonl", resource.RLIM_INFINITY
    size = log.stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, unlimited))
    try:
        store.append(trial(1))
    except OSError:
        print(log.stat().st_size == size, len(store.trials))
    resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))
    store.append(trial(2))
"""


def test_a_full_disk_is_told_and_leaves_the_log_as_it_was(tmp_path):
    command = [sys.executable, "-c", FILL_THE_DISK, tmp_path]
    assert subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout == "True 1\n"
    assert [trial.number for trial in read_trials(tmp_path)] == [0, 2]


@pytest.mark.parametrize("field", ["reward", "latency", "metrics", "cost"])
@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_no_trial_scores_what_is_not_finite_so_that_a_worker_fails_with_it_and_the_log_never_meets_it(field, number):
    with pytest.raises(ValueError, match="trial #0: "):
        replace(sampled(0), **{field: number if field in ("reward", "latency") else {"loss": number}})


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_end_waits_until_the_trial_is_written(tmp_path, monkeypatch, sent):
    def interrupt(descriptor):
        os.kill(os.getpid(), sent)

    before = signal.signal(sent, signal.default_int_handler)  # a background job inherits Ctrl-C ignored
    try:
        with opened(tmp_path) as store:
            monkeypatch.setattr(os, "fsync", interrupt)
            with pytest.raises(KeyboardInterrupt):
                store.append(sampled(0))
            assert [trial.number for trial in store.trials] == [0]
            assert signal.getsignal(sent) == signal.default_int_handler
    finally:
        signal.signal(sent, before)
    assert [trial.number for trial in read_trials(tmp_path)] == [0]
