"""Results of trainings: which networks there are in a run, which are seeds of one network, how each of them scores."""

import csv
import itertools
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cache.datasets.catalog import BY_NETWORK
from cache.errors import DataError
from cache.shipped import FOLDER as SHIPPED
from cache.shipped import find
from nas.networks.loading import read_facts
from nas.runs.store import is_run, read_settings
from nas.settings.commands import invocation
from nas.settings.wording import AGREEMENT, MASKS
from nas.training.saved_training import BEST, CURVE, is_unfinished

log = logging.getLogger(__name__)

FOLDER: Final = "retrained"  # in the run's directory


def checkpoints(paths: Sequence[Path]) -> dict[str, list[Path]]:
    """Find the files that `paths` stand for, by the name of their network.

    Args:
        paths: files, folders with a `network.pt`, or runs (or their `retrained` folders), which stand for all networks
            in them that were trained for the data of the run. Those adapted to another video are named by themselves.

    Returns:
        Name -> files, several if they are seeds of it: `<name>-seed0/network.pt`, `<name>-seed1/network.pt`. Networks
        of one name are told apart by the folders they are in.

    Raises:
        DataError: there is no such file or folder, or no network in it, or none for the data of the run.
        RunError: the settings of a run cannot be read.
    """
    groups: dict[Path, list[Path]] = {}
    for file in dict.fromkeys(file.resolve() for path in paths for file in _files(path)):
        if is_unfinished(file.parent):
            log.warning("%s is the best so far of a training that has not ended", file)
        groups.setdefault(file.parent.with_name(_name(file)), []).append(file)
    return dict(zip(_short(list(groups)), groups.values(), strict=True))


def _name(file: Path) -> str:
    """Name a network by its folder without the seed; a file of another name by both, and one that ships by itself."""
    if file.parent == SHIPPED.resolve():
        return file.stem
    name = re.sub(r"-seed\d+$", "", file.parent.name) or file.parent.name
    return name if file.name == BEST else f"{name}-{file.stem}"


def _files(path: Path) -> list[Path]:
    """Find a file, or the networks below a folder."""
    path = find(path)
    if path.is_file():
        return [path]
    if (path / BEST).is_file():
        return [path / BEST]
    found = sorted([*path.glob(f"*/{BEST}"), *path.glob(f"{FOLDER}/*/{BEST}")])
    if not found:
        what = "no trained network in" if path.is_dir() else "no file or folder"
        raise DataError(f"there is {what} {path}; `{invocation('retrain')} --run RUN` makes networks")
    run = next(filter(is_run, (path, path.resolve().parent)), None)
    return found if run is None else _own(run, found)


def _own(run: Path, files: Sequence[Path]) -> list[Path]:
    """Choose the networks that were trained for the data of their run; scores on another video are other numbers."""
    dataset = read_settings(run).data.dataset
    own = [file for file in files if _is_own(read_facts(file), dataset)]
    others = ", ".join(file.parent.name for file in files if file not in own)
    if not own:
        raise DataError(
            f"no network in {run} was trained for the data of the run: {others} learnt from another video; name the "
            f"one that you mean, such as {files[0].parent}"
        )
    if others:
        log.info(
            "left out, as they learnt from another video than that of %s: %s; name them if you mean them",
            *(run, others),
        )
    return own


def _is_own(facts: Mapping[str, Any], dataset: str) -> bool:
    """Tell whether a network was trained for the data set of its run; of before this was noted, as far as it shows."""
    adapted = "adapted" in facts or "before" in facts
    return not adapted and (facts.get("dataset", dataset) == BY_NETWORK) == (dataset == BY_NETWORK)


def _short(paths: Sequence[Path]) -> list[str]:
    """Cut each path to its last parts, as few as tell them apart."""
    tails = (["/".join(path.parts[-count:]) for path in paths] for count in itertools.count(1))
    return next(names for names in tails if len(set(names)) == len(paths))


def best_checkpoint(path: Path) -> Path:
    """Find the network that a path stands for.

    Args:
        path: file, or folder as in `checkpoints`; of several networks, the cell that scored best is taken, as the
            per-frame network, which agrees with itself, would always win on a video; without cells, the best of all.

    Raises:
        DataError: there is no network, or none for the data of the run, or there are several of which one has no curve
            to compare it by.
        RunError: the settings of the run cannot be read.
    """
    if not path.is_dir():
        return path
    files = [file for seeds in checkpoints([path]).values() for file in seeds]
    files = [file for file in files if re.match(r"cell\d", file.parent.name)] or files
    if len(files) == 1:
        return files[0]
    best = max(files, key=_best_miou)
    log.info("of %d networks in %s: %s", len(files), path, best)
    return best


def training_state(checkpoint: Path) -> str:
    """Say how a retrained network scores, and whether its training is over."""
    curve = checkpoint.with_name(CURVE)
    over = "(its training is not over)" if is_unfinished(checkpoint.parent) else ""
    if not curve.exists():
        return over
    try:
        return f"{_measure(curve)} {100 * _best_miou(checkpoint):.2f} % on the validation list {over}".strip()
    except DataError:
        return f"(its {CURVE} is damaged) {over}".strip()


def _measure(curve: Path) -> str:
    """Say what a curve's scores are called: one by the labels of a network has a column that others have not."""
    with curve.open(encoding="utf-8", errors="replace") as file:
        return (AGREEMENT if "pixel_accuracy" in file.readline() else MASKS).miou


def _best_miou(checkpoint: Path) -> float:
    """Read the highest mIoU, in [0, 1], off the curve of a training. Raises DataError if that is absent or damaged."""
    curve = checkpoint.with_name(CURVE)
    try:
        with curve.open(newline="", encoding="utf-8") as file:
            return max(float(row["miou"]) for row in csv.DictReader(file))
    except (OSError, ValueError, LookupError, TypeError, csv.Error) as error:
        raise DataError(f"{curve} does not say how {checkpoint} scores; name one network instead of its run") from error
