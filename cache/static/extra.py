"""The extra with which networks and encoders of Hugging Face transformers can be used; nothing else imports it."""

from importlib import import_module
from typing import Any, Final

from cache.errors import DataError

HUB: Final = "hf:"
"""Prefix of a name on the hub of Hugging Face, or a folder that transformers wrote."""
EXTRA: Final = "pip install 'dyncell[transformers]'"


def import_extra(module: str) -> Any:  # noqa: ANN401 - a module
    """Import one of our modules that needs the extra.

    Raises:
        DataError: it is not installed, and the command that does it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in ("transformers", "safetensors"):
            raise
        raise DataError(f"networks of transformers need an extra that is not installed: {EXTRA}") from error
