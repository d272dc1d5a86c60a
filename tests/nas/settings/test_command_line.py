"""Errors become a message and an exit code; a full disk is one of them, also where only the log meets it."""

import logging
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from nas.settings import command_line
from nas.settings.command_line import log_to, run_command
from nas.settings.config import SearchConfig
from nas.settings.errors import NonFiniteError, RunError


@dataclass(frozen=True)
class Arguments:
    """A command."""

    number: int = 1


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    handlers = list(logging.getLogger().handlers)
    signals = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGALRM)}
    monkeypatch.setattr(sys, "argv", ["command", "--number", "7"])
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    yield
    logging.getLogger().handlers = handlers
    for number, handler in signals.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (RunError("no such preset"), 2, "error: no such preset"),
        (NonFiniteError("logits are infinite"), 2, "error: logits are infinite"),
        (OSError(28, "No space left on device", "trials.jsonl"), 2, "No space left on device: 'trials.jsonl'"),
        (KeyboardInterrupt(), 130, "the same command goes on from there: python -m command --number 7"),
    ],
)
def test_what_a_person_can_mend_is_one_message(raised, code, said, capsys):
    def main(arguments):
        raise raised

    with pytest.raises(SystemExit) as ended:
        run_command("command", Arguments, None, main)
    assert ended.value.code == code
    assert said in capsys.readouterr().err


def test_a_bug_keeps_its_traceback():
    def main(arguments):
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        run_command("command", Arguments, None, main)


def test_flags_reach_the_command():
    seen = []
    with pytest.raises(SystemExit) as ended:
        run_command("command", Arguments, None, seen.append)
    assert ended.value.code == 0
    assert seen == [Arguments(number=7)]


def search_flags(*words):
    return command_line._base_config(SearchConfig, [str(word) for word in words])


def test_a_run_that_does_not_exist_starts_no_search_on_data_that_nobody_named(tmp_path):
    with pytest.raises(RunError, match=r"there is no run in .*typo .*--dataset"):
        search_flags("--run", tmp_path / "typo")
    assert search_flags("--run", tmp_path / "new", "--dataset", "shapes") != SearchConfig()
    assert search_flags("--run", tmp_path / "new", "--preset=laptop") != SearchConfig()
    assert search_flags() == search_flags("--dataset", "camvid")


def test_a_fork_of_a_run_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"there is no run in .*; check the name$"):
        search_flags("--run", tmp_path / "typo", "--fork", "other", "--dataset", "shapes")


def test_sigterm_ends_a_command_as_ctrl_c_does():
    command_line.end_on_sigterm()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)


def test_the_log_file_has_what_the_terminal_shows(tmp_path):
    log_to(tmp_path / "search.log")
    logging.getLogger("nas").warning("trial %d", 3)
    assert (tmp_path / "search.log").read_text().endswith(" trial 3\n")


def test_a_full_disk_under_the_log_is_an_oserror():
    with pytest.raises(OSError, match="No space left"):  # noqa: PT012 - the handler buffers nothing, but may open late
        log_to(Path("/dev/full"))
        logging.getLogger("nas").warning("lost")


LOSING = """
import signal, sys, time, weakref
from dataclasses import dataclass
from nas.settings.command_line import run_command

class Thing:
    pass

@dataclass(frozen=True)
class Arguments:
    name: str

def main(arguments):
    thing = Thing()
    reference = weakref.ref(thing, lambda _: signal.raise_signal(getattr(signal, arguments.name)))
    del thing
    time.sleep(5)

signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs are started without
run_command("command", Arguments, None, main)
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_is_not_lost_where_python_forgets_what_is_raised(name):
    done = subprocess.run([sys.executable, "-c", LOSING, "--name", name], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr.startswith("stopped; what is finished is kept")
