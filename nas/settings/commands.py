"""The commands: the files directly in `nas/`, each with the sentence that its docstring begins with. No torch."""

import ast
import sys
from pathlib import Path
from typing import Final

NAS: Final = Path(__file__).parents[1]
SHORT: Final = {"list_runs": "runs", "manage_cache": "cache"}
"""Names of modules that cannot be called what the command is: packages are called so."""


def commands() -> dict[str, str]:
    """List the commands: name -> its module in `nas`."""
    modules = [path.stem for path in NAS.glob("*.py") if not path.stem.startswith("__")]
    return dict(sorted((SHORT.get(module, module), module) for module in modules))


def invocation(name: str) -> str:
    """Say how to call a command the way that this one was: `dyncell search`, or else `python -m nas.search`."""
    by_name = "dyncell" in (Path(word).stem for word in sys.orig_argv[1:3])
    return f"dyncell {name}" if by_name else f"python -m nas.{commands()[name]}"


def overview() -> str:
    """List the commands, a line each."""
    return "\n".join(f"  {name:10}{_sentence(module)}" for name, module in commands().items())


def _sentence(module: str) -> str:
    """Return what follows the colon in "`python -m nas.search`: from frames on disk to a ranked list of cells."."""
    text = ast.get_docstring(ast.parse((NAS / f"{module}.py").read_text(encoding="utf-8"))) or ""
    return text.splitlines()[0].partition(": ")[2].rstrip(".")
