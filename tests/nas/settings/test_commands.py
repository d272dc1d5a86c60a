"""Commands are told as the one was called that tells them."""

import sys

import pytest

from nas.settings.commands import invocation


@pytest.mark.parametrize(
    ("words", "search", "runs"),
    [
        (["python", "/venv/bin/dyncell", "search"], "dyncell search", "dyncell runs"),
        (["python", "-m", "dyncell", "search"], "dyncell search", "dyncell runs"),
        (["python", "-m", "nas.search", "--run", "dyncell"], "python -m nas.search", "python -m nas.list_runs"),
    ],
)
def test_the_next_command_is_called_as_this_one_was(words, search, runs, monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", words)
    assert (invocation("search"), invocation("runs")) == (search, runs)
