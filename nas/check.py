"""`python -m nas.check`: what is in a data set, and whether its labels are what one thinks, before any training."""

import inspect
import logging
from dataclasses import dataclass
from pathlib import Path

from cache.datasets.folder_settings import EXAMPLE
from nas.settings.command_line import run_command
from nas.settings.config import DatasetName
from nas.settings.machine_config import MachineConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Read every frame and mask, count clips, windows and classes, and say what is wrong or suspicious.

    A quick form of this, which reads the masks alone and only once, runs before every training.

    Clips of your own lie as ROOT/<split>/<clip>/images/*.png and masks/*.png, or as a video file and
    masks/<number of the frame>.png, with split train, val or test. ROOT/dataset.yaml names the classes:

    {EXAMPLE}
    """

    dataset: DatasetName = "folder"
    """Which data set."""
    data_root: Path | None = None
    """Folder of the data set, or $DYNCELL_DATA. Of a video, its file or folder."""
    labelled_by: Path | None = None
    """Network whose labels stand in for the masks of a video: a `network.pt`, or one that ships, such as `camvid`."""
    output: Path | None = None
    """Folder for check.html and check.png; by default checked/<name of the data set>."""
    cache_dir: Path | None = None
    """Folder where counts are remembered; by default $DYNCELL_CACHE or ~/.cache/dyncell."""


_LINES = "\n".join(f"| {line}" for line in EXAMPLE.splitlines())  # the bar keeps tyro from joining them
Arguments.__doc__ = inspect.cleandoc(str(Arguments.__doc__)).replace("{EXAMPLE}", _LINES)


def main(arguments: Arguments) -> None:
    """Check every split that is there, print tables, and leave a page. Raises DataError if something must be mended."""
    from cache.datasets.catalog import open_dataset
    from cache.datasets.census import take_census
    from cache.datasets.clips import SPLITS
    from cache.datasets.files import FileDataset
    from cache.datasets.findings import require_classes, suspicions
    from cache.datasets.survey import repeated, take_survey
    from cache.errors import DataError
    from nas.reporting.labels.report import Checked, write_report

    dataset = open_dataset(arguments.dataset, arguments.data_root, network=arguments.labelled_by)
    present = [split for split in SPLITS if not isinstance(dataset, FileDataset) or dataset.has(split)]
    surveys = [take_survey(dataset, split) for split in present]
    good = [survey.split for survey in surveys if not survey.problems]
    folder = MachineConfig(cache_dir=arguments.cache_dir).cache / "census"
    censuses = [take_census(dataset, split, folder) for split in good]
    doubts = [*suspicions(censuses, dataset.classes), *repeated(surveys)]
    mended = []
    for census in censuses:
        try:
            require_classes(census, dataset.classes)
        except DataError as error:
            mended.append(str(error))
    checked = Checked(dataset, surveys, censuses, doubts, mended)
    print(checked.text())
    print(write_report(checked, arguments.output or Path("checked") / dataset.name))
    if checked.problems:
        raise DataError(f"{len(checked.problems)} things in {dataset.name} have to be mended before a training")


if __name__ == "__main__":
    run_command("nas.check", Arguments, None, main)
