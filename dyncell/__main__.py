"""`dyncell COMMAND ...`: runs `python -m nas.COMMAND ...`, without looking for packages in the working directory."""

import runpy
import sys
from typing import Final

from dyncell import __version__
from nas.settings.command_line import BAD_INPUT
from nas.settings.commands import commands, overview

USAGE: Final = (
    "usage: dyncell COMMAND [flags]; dyncell COMMAND --help says more of each, dyncell --version which this is"
)


def main() -> None:
    """Run the command that the first word names."""
    word = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if word in ("-h", "--help"):
        print(f"{USAGE}\n\n{overview()}")
    elif word == "--version":
        print(f"dyncell {__version__}")
    elif word in commands():
        del sys.argv[1]
        runpy.run_module(f"nas.{commands()[word]}", run_name="__main__", alter_sys=True)
    else:
        print(f"error: there is no command {word!r}\n{USAGE}\n\n{overview()}", file=sys.stderr)
        sys.exit(BAD_INPUT)


if __name__ == "__main__":
    main()
