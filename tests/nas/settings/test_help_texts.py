"""What `--help` makes of the docstrings of settings."""

from dataclasses import dataclass, field
from typing import Annotated

import pytest
import tyro
from tyro.conf import arg

from nas.settings.help_texts import set_help


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section."""

    inner: int = 1
    """One sentence of a section that goes on
    over two lines; and 20 % more."""


@dataclass(frozen=True, kw_only=True)
class Base:
    """Settings of before."""

    old: int = 0
    """An inherited setting, over
    two lines."""
    bare: int = 0


@dataclass(frozen=True, kw_only=True)
class Settings(Base):
    """Settings."""

    number: int = 2
    """One line."""
    section: Annotated[Section, arg(name="")] = field(default_factory=Section)


def test_a_help_text_breaks_where_the_terminal_ends_and_not_where_the_source_does(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    set_help(Settings)
    with pytest.raises(SystemExit):
        tyro.cli(Settings, args=["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    lines = [
        "--old INT An inherited setting, over two lines. (default: 0)",
        "--bare INT (default: 0)",
        "--number INT One line. (default: 2)",
        "--inner INT One sentence of a section that goes on over two lines; and 20 % more. (default: 1)",
    ]
    assert all(line in shown for line in lines)
