"""Files of Hugging Face transformers, in a folder or from the hub: configurations, and weights as safetensors alone.

No code from the hub is run, and nothing is unpickled.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from transformers import AutoConfig
from transformers.utils import cached_file

from cache.errors import DataError
from cache.images import IMAGENET_MEAN, IMAGENET_STD

WEIGHTS: Final = "model.safetensors"
UNTOLD: Final = ("_name_or_path", "transformers_version", "auto_map", "dtype")
"""Entries of a configuration that no weight depends on, or that must not be followed."""
ELSEWHERE: Final = ("timm_backbone", "timm_wrapper")
"""Types of model that are made by another library, which fetches pickled weights."""


@contextmanager
def reading(name: str, what: str) -> Iterator[None]:
    """Raise DataError for whatever transformers and the hub raise.

    Args:
        name: what is read, for the message.
        what: it shall be.
    """
    try:
        yield
    except DataError:
        raise
    except (OSError, ValueError, TypeError, RuntimeError, ImportError, LookupError, AttributeError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise DataError(f"{name} cannot be loaded as {what}: {reason}") from error


def read_config(name: str) -> Any:  # noqa: ANN401 - of any model
    """Read a configuration, and refuse one for images that networks here do not get. Raises within `reading`."""
    if (name.startswith((".", "/", "~")) or name.count("/") > 1) and not Path(name).is_dir():
        raise DataError(f"there is no folder {name} of a model that transformers saved")
    config = AutoConfig.from_pretrained(name, trust_remote_code=False)
    _check_normalisation(name)
    return config


def find_weights(name: str) -> Path | None:
    """Find the file with the weights, which the hub may have to send; None where there is none. Raises as above."""
    found = cached_file(name, WEIGHTS, _raise_exceptions_for_missing_entries=False)
    return Path(found) if found else None


def to_content(config: Any) -> dict[str, Any]:  # noqa: ANN401 - of any model
    """Write a configuration as JSON from which `from_content` makes it again."""
    content = json.loads(config.to_json_string())
    return {key: value for key, value in content.items() if key not in UNTOLD}


def from_content(content: Mapping[str, Any]) -> Any:  # noqa: ANN401 - of any model
    """Make a configuration that a file holds, which reaches for nothing outside the file.

    Raises:
        ValueError: there is no such model; or it wants to be fetched, or code of elsewhere.
    """
    for part in (content, content.get("backbone_config") or {}):
        if part.get("model_type") in ELSEWHERE or part.get("backbone") or part.keys() & {"auto_map"}:
            raise ValueError("its configuration asks for a model of elsewhere")
    return AutoConfig.for_model(**content)


def _check_normalisation(name: str) -> None:
    """Raise DataError for a network that wants images other than all networks here get."""
    path = cached_file(name, "preprocessor_config.json", _raise_exceptions_for_missing_entries=False)
    said = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
    for key, wanted in (("image_mean", IMAGENET_MEAN), ("image_std", IMAGENET_STD)):
        found = said.get(key, list(wanted))
        if len(found) != 3 or any(abs(a - b) > 1e-3 for a, b in zip(found, wanted, strict=True)):
            raise DataError(
                f"hf:{name} normalises images by {key} {found}, but only ImageNet's {list(wanted)} is known"
            )
