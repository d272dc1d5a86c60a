"""The directory of a search that names none: its unfinished run's, or a new one."""

import datetime
import re
from pathlib import Path

from nas.runs.confirmation import missing
from nas.runs.ranking import sampled
from nas.runs.store import differences, read_settings, read_trials
from nas.settings.automatic import as_begun
from nas.settings.config import SearchConfig
from nas.settings.config_files import CONFIG_FILE, identity
from nas.settings.errors import RunError


def default_directory(parent: Path, data: str, config: SearchConfig, asked: SearchConfig) -> Path:
    """Return the newest unfinished run of the same identity in `parent`, else `<dataset>-<date>-<seed>` there.

    So the same command goes on with what it began, whatever day it is.

    Args:
        parent: folder of runs; need not exist.
        data: name of the data set.
        config: of the search, resolved as in the runs' own files.
        asked: the same as it was asked for; what it leaves to the machine may be otherwise in a run.
    """
    today = datetime.datetime.now(tz=datetime.UTC).date()
    ours = re.compile(rf"{re.escape(data)}-\d{{4}}-\d\d-\d\d-{config.seed}")  # `night` is not `night-rain`
    runs = sorted(path.parent for path in parent.glob(f"*/{CONFIG_FILE}") if ours.fullmatch(path.parent.name))
    unfinished = (run for run in reversed(runs) if _is_unfinished(run, config, asked))
    return next(unfinished, parent / f"{data}-{today}-{config.seed}")


def _is_unfinished(directory: Path, config: SearchConfig, asked: SearchConfig) -> bool:
    try:
        saved = read_settings(directory)
        trials = read_trials(directory)
    except (RunError, OSError):  # damaged, of another version or another person: nothing to go on with unasked
        return False
    unfinished = len(sampled(trials)) < config.trials or missing(trials, config)
    return bool(unfinished) and not differences(identity(saved), identity(as_begun(config, asked, saved)))
