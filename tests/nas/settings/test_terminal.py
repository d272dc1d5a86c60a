import os
import subprocess
import sys

import pytest

CODE = """
import sys
from dataclasses import dataclass
from nas.settings.command_line import run_command

@dataclass(frozen=True)
class Arguments:
    pass

def main(arguments):
    print("0.61 ± 0.02 –", "道路")
    print("0.61 ± 0.02 –", file=sys.stderr)

run_command("nas.plot", Arguments, None, main)
"""  # noqa: RUF001


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_a_table_is_printed_on_any_terminal(encoding):
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    result = subprocess.run([sys.executable, "-c", CODE], capture_output=True, env=environment)
    assert result.returncode == 0
    plus = "+-" if encoding == "ascii" else "±"
    dash = "-" if encoding in ("ascii", "latin-1") else "–"  # noqa: RUF001
    road = "道路" if encoding == "utf-8" else "??"
    assert result.stdout.decode(encoding) == f"0.61 {plus} 0.02 {dash} {road}\n"
    assert result.stderr.decode(encoding).endswith(f"0.61 {plus} 0.02 {dash}\n")
