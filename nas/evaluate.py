"""`python -m nas.evaluate`: one table over trained networks, of what they get right, how steadily, and at what cost."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from tyro.conf import arg

from cache.datasets.catalog import BY_NETWORK, open_dataset
from cache.datasets.clips import LIMIT, Dataset, Split
from nas.runs.store import is_run, read_settings
from nas.settings.command_line import run_command
from nas.settings.config import REFRESH_RULE, DatasetName, is_refresh
from nas.settings.errors import RunError, require
from nas.settings.machine_config import ComputeConfig, MachineConfig

if TYPE_CHECKING:
    from nas.evaluation.data import EvaluationData
    from nas.networks.video_network import VideoNetwork

log = logging.getLogger(__name__)

NO_RUN: Final = "camvid"  # data set that networks of no run are scored on


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Score trained networks on one split, frame after frame as they are used, and count and measure what they cost.

    Several seeds of a network (`<name>-seed0`, `<name>-seed1`) make one line, with mean and standard deviation. Where
    there are key frames, a per-frame network has a second line, `held`: its answers on key frames alone, each repeated
    until the next, which costs nothing more and which a cell has to beat.
    """

    checkpoints: tuple[Path, ...]
    """Files (`network.pt` of nas.retrain, or of nas.pretrain for the per-frame network) or whole runs, which stand for
    their networks but for those adapted to another video."""
    dataset: DatasetName | None = None
    """Name of the data set; by default that of the run that networks are of, and camvid where there is no run."""
    data_root: Path | None = None
    """Folder of the data set; by default the run's, or $DYNCELL_DATA. Of a video, its file or folder."""
    labelled_by: Path | None = None
    """Network whose labels stand in for the masks of a video, so that scores are agreement; by default the run's."""
    limit: int | None = None
    """Frames of a video that are used at most, 0 for all; by default as many as the run used, or 2000."""
    split: Split = "val"
    """List of the data set to score on."""
    output: Path | None = None
    """Folder for report, tables and pictures. By default evaluation/<dataset>-<split> in the run that networks are of,
    whose report.html then shows them; of several runs or none, runs/evaluation-<dataset>-<split>."""
    size: tuple[int, int] | None = None
    """Working height and width; by default that of the networks' training."""
    refresh: tuple[int, ...] = ()
    """Frames from one key frame to the next; 0 has none after the first frame of a clip. By default as each network was
    trained; several numbers give a line each (`/5` is a key frame in five), and so show what key frames buy."""
    window: Literal["auto"] | int = "auto"
    """Frames of a window, of which the last is scored; `auto` is as many as fill the longest memory, and at least 3."""
    panels: int = 4
    """Frames to show with their label and all predictions, spread over the split."""
    latency_size: tuple[tuple[int, int], ...] = ()
    """Height and width of the images that costs are for, e.g. 1024 2048, or of several: 360 480 1024 2048. By default
    the working size."""
    latency_clip: int | None = None
    """Frames of the clip, the first a key frame, that mean costs are over; 0 is later frames alone. By default from one
    key frame of a network to the next, and later frames alone where there is only the first."""
    latency_repeats: int = 10
    """Timed repetitions, whose median is shown; 0 measures no latency."""
    cache_dir: Path | None = None
    """Folder for optical flow; by default the run's, or $DYNCELL_CACHE or ~/.cache/dyncell."""
    compute: Annotated[ComputeConfig, arg(name="")] = field(default_factory=ComputeConfig)

    def __post_init__(self) -> None:
        if not self.checkpoints:
            raise RunError("name at least one checkpoint or run with --checkpoints")
        for refresh in self.refresh:
            require(is_refresh(refresh), REFRESH_RULE, refresh)
        if self.window != "auto" and self.window < 2:
            raise RunError(f"window must be at least 2 frames, or auto, but got {self.window}")
        if self.panels < 1 or (self.latency_clip or 0) < 0 or self.latency_clip == 1 or self.latency_repeats < 0:
            raise RunError(
                "there must be 1 panel or more, 2 frames or more in a clip (or 0), and no negative repetitions"
            )
        if any(min(size) < 1 for size in (self.size or (1, 1), *self.latency_size)):
            raise RunError("sizes must be positive")


def main(arguments: Arguments) -> None:
    """Evaluate network after network, leaving a report of those that are done, and print the table."""
    # These load torch, for which --help and a bad flag need not wait.
    from nas.evaluation.network_cost import Timing, costs_at
    from nas.evaluation.scores import evaluate
    from nas.reporting.evaluation.facts import evaluation_facts
    from nas.reporting.evaluation.page import FOLDER
    from nas.reporting.evaluation.report import EvaluationReport
    from nas.reporting.search.report import redraw
    from nas.settings.compute import start
    from nas.training.video.results import checkpoints

    compute = start(arguments.compute)
    networks = per_frame_first(checkpoints(arguments.checkpoints))
    run = run_of(arguments.checkpoints)
    arguments = arguments if run is None else with_settings_of(run, arguments)
    data = evaluation_data(arguments, networks)
    where = f"{data.dataset.name}-{data.split}"
    folder = arguments.output or (run / FOLDER / where if run else Path("runs") / f"{FOLDER}-{where}")
    clip, repeats = arguments.latency_clip, arguments.latency_repeats
    timings = [Timing(size, clip, repeats) for size in dict.fromkeys(arguments.latency_size or (data.size,))]
    report = EvaluationReport(folder, data, evaluation_facts(data, networks, timings, compute), arguments.panels)
    for number, (name, paths) in enumerate(networks.items(), start=1):
        log.info("network %d of %d: %s, %d seed(s)", number, len(networks), name, len(paths))
        for line, seeds in lines(name, paths, arguments.refresh, len(data.classes)):
            scores = [evaluate(network, data, compute, report.shown, line) for network in seeds]
            report.add(line, scores, costs_at(seeds[0], timings, compute))
    report.write_pictures()
    print(report.summary)
    print(folder / "report.md")
    if run:
        print(redraw(run)[-1])


def lines(
    name: str, paths: Sequence[Path], refreshes: Sequence[int], classes: int
) -> Iterator[tuple[str, list["VideoNetwork"]]]:
    """Yield the lines of one network, each with its name and the network of every seed.

    A cell has a line for each number of frames between key frames. A per-frame network does not depend on it, but what
    its key frames alone are worth does.
    """
    from nas.networks.loading import load_network
    from nas.networks.video_network import held

    for place, refresh in enumerate(refreshes or (None,)):
        seeds = [load_network(path, classes, refresh)[0] for path in paths]
        every = f" /{refresh}" if len(refreshes) > 1 else ""
        if seeds[0].head.genotype is not None:
            yield f"{name}{every}", seeds
            continue
        if place == 0:
            yield name, seeds
        if seeds[0].refresh:
            yield f"{name} held{every}", [held(network) for network in seeds]


def per_frame_first(networks: Mapping[str, Sequence[Path]]) -> dict[str, Sequence[Path]]:
    """Put the per-frame networks before the others, which are to be compared with them. Raises DataError."""
    from nas.networks.loading import load_network

    def is_other(named: tuple[str, Sequence[Path]]) -> bool:
        network, _ = load_network(named[1][0])
        return network.head.genotype is not None

    return dict(sorted(networks.items(), key=is_other))


def run_of(checkpoints: Sequence[Path]) -> Path | None:
    """Find the directory of the one run that has all or some of `checkpoints`; None if there is none, or several."""
    homes = (next(filter(is_run, (path, *path.parents)), None) for path in map(Path.absolute, checkpoints))
    runs = {home for home in homes if home is not None}
    return runs.pop() if len(runs) == 1 else None


def with_settings_of(run: Path, arguments: Arguments) -> Arguments:
    """Fill in the data set, its folder and the cache of a run where no flag names them.

    Raises:
        RunError: the run's settings cannot be read.
    """
    search = read_settings(run)
    found = replace(
        arguments,
        dataset=arguments.dataset or search.data.dataset,
        cache_dir=arguments.cache_dir or search.machine.cache_dir,
        labelled_by=arguments.labelled_by or search.static.checkpoint,
        limit=search.data.limit if arguments.limit is None else arguments.limit,
    )
    if arguments.data_root is None and found.dataset == search.data.dataset:
        return replace(found, data_root=search.machine.data_root)
    return found


def evaluation_data(arguments: Arguments, networks: Mapping[str, Sequence[Path]]) -> "EvaluationData":
    """Make the data that all networks are scored on, once every one of them has been read and checked.

    Raises:
        DataError: the data are missing or wrong, or a network cannot be read or has other classes.
        RunError: the networks were trained at different sizes, and --size does not say which to take.
    """
    from nas.evaluation.data import EvaluationData
    from nas.networks.class_names import check_classes
    from nas.networks.loading import load_network

    dataset = open_data(arguments)
    sizes, slots = set(), {2}
    for path in (path for paths in networks.values() for path in paths):
        network, meta = load_network(path, len(dataset.classes))
        check_classes(path, meta, dataset.classes)
        own = None if dataset.name == BY_NETWORK else meta.get("size")  # a video has that of the network that labels it
        height, width = own or dataset.size
        sizes.add((height, width))
        slots.add(network.head.slots)
    if len(sizes) > 1 and arguments.size is None:
        found = ", ".join(f"{height}x{width}" for height, width in sorted(sizes))
        raise RunError(f"the networks were trained at {found}; name one size for all with --size HEIGHT WIDTH")
    cache = MachineConfig(cache_dir=arguments.cache_dir).cache
    window = max(slots) + 1 if arguments.window == "auto" else arguments.window
    return EvaluationData.of(
        open_data(arguments, window), arguments.split, arguments.size or sizes.pop(), window, cache
    )


def open_data(arguments: Arguments, window: int = 2) -> Dataset:
    """Open the data set that networks are scored on. Raises DataError if it is not there."""
    limit = LIMIT if arguments.limit is None else arguments.limit
    name, root = arguments.dataset or NO_RUN, arguments.data_root
    return open_dataset(name, root, window, network=arguments.labelled_by, limit=limit)


if __name__ == "__main__":
    run_command("nas.evaluate", Arguments, None, main)
