"""`python -m nas.retrain`: train the best cells of a run for use, and what they are compared with, by one recipe."""

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import tyro
from tabulate import tabulate
from tyro.conf import arg

from baselines.fixed_points import FIXED_POINTS, STATIC, select
from cache.datasets.catalog import BY_NETWORK, open_dataset
from cache.images import scaled_size
from nas.runs.confirmation import final_ranking
from nas.runs.ranking import RELATIVE, along_front
from nas.runs.store import read_settings, read_trials
from nas.settings.automatic import require_number
from nas.settings.command_line import log_to, run_command
from nas.settings.commands import invocation
from nas.settings.config import SearchConfig
from nas.settings.errors import RunError, require
from nas.settings.machine_config import ComputeConfig
from nas.settings.retrain_config import RetrainConfig, without_labels
from nas.settings.seeding import stream
from nas.settings.wording import wording
from searchspace.genotype import Genotype

if TYPE_CHECKING:
    from nas.training.video.ensure import VideoTraining

log = logging.getLogger(__name__)

JUDGED_NEARBY: Final = (
    "The frames that judge come right after those that were learnt from. A later stretch may tell otherwise: see "
    f"`{invocation('evaluate')} --dataset video --data-root LATER --checkpoints ...` before you use one."
)


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Train the best cells of a run for use: alone at first, then end to end with the static network.

    The fixed points, the per-frame network among them, are trained in the same way: the control that says what more
    epochs alone would give. `static`, the network that all start from, is scored as it is. Each network is left in
    `<run>/retrained/<name>-seed<k>/network.pt`, the best one by mIoU over the validation list. What is there is not
    trained again, and the same command continues what was stopped.

    With `--dataset video --data-root VIDEO` what was retrained goes on from there on a video without masks, that of
    another camera, say: the static network teaches, and the table says how far each network agreed with it before.
    """

    run: Path = tyro.MISSING
    """Directory of the search, finished or not."""
    config: Annotated[RetrainConfig, arg(name="")] = field(default_factory=RetrainConfig)
    preset: str | None = None
    """Named settings: `paper` (the default, for a GPU), `cityscapes` (the paper's there), `laptop` (CamVid without a
    GPU, on features, minutes a network), `quick` (shapes, minutes), `small` (a few hundred labelled frames), `video`
    (what other presets say of labels is left out there), `lmanet` and `tdnet` (as their authors train), or a YAML file
    of one's own."""
    top_k: int = 2
    """Cells to train, the best by confirmed reward; where the search confirmed none or too few, by its own."""
    pareto: int = 0
    """Cells to train instead: so many of those that no other beats in score without costing more, spread from the
    cheapest to the best; 0 trains the best by reward."""
    fixed_points: tuple[str, ...] | None = None
    """Fixed points to train beside the cells, each as long as a cell; by default all those of the search."""
    seeds: int = 1
    """Trainings of each network, with different seeds."""
    label: str = ""
    """Suffix of the networks' names, after a hyphen, to keep those of other settings apart; by default none, and on
    another video its name."""
    checkpoint: Path | None = None
    """Static network to start from; by default the search's. Of a retrained network the static part is taken."""
    dataset: Literal["video"] | None = None
    """`video` adapts the run's networks to a video without masks; by default they learn from the search's data."""
    data_root: Path | None = None
    """Folder of the data set, or file or folder of a video; by default the search's."""
    cache_dir: Path | None = None
    """Folder for static networks, features and optical flow; by default the search's."""
    compute: Annotated[ComputeConfig, arg(name="")] = field(default_factory=ComputeConfig)

    def __post_init__(self) -> None:
        require(self.pareto >= 0, "pareto must be 0 cells or more", self.pareto)
        if self.top_k < 0 or self.seeds < 1:
            raise RunError(f"there must be 0 cells or more and 1 seed or more, but got {self.top_k} and {self.seeds}")
        require(self.dataset is None or self.data_root is not None, "dataset video needs --data-root", self.data_root)
        on_images = self.config.retrain.alone_on == "images"
        rule = "with --dataset alone-on must be images: networks that were trained already have no cached features"
        require(self.dataset is None or on_images, rule, self.config.retrain.alone_on)
        require(Path(self.label).name == self.label, "label must be part of a folder's name", self.label)


def main(arguments: Arguments) -> None:
    """Train every network that is not there yet, and print what they score on the validation list."""
    from nas.training.saved_training import BEST  # these load torch, for which --help need not wait
    from nas.training.video.results import FOLDER

    search = read_settings(arguments.run)
    if arguments.dataset and arguments.data_root and not arguments.label:  # beside the networks that are adapted
        arguments = replace(arguments, label=arguments.data_root.resolve().stem)
    networks = chosen_networks(arguments, search)
    log_to(arguments.run / "retrain.log")
    training, words = video_training(arguments, search), wording(arguments.dataset or search.data.dataset)
    static = labelled(STATIC, arguments.label)
    every = [(name, genotype, k) for k in range(arguments.seeds) for name, genotype in networks.items()]
    jobs = [(name, genotype, k) for name, genotype, k in every if name != static or k == 0]
    columns = ({f"{words.miou} before %": "before"} if arguments.dataset else {}) | dict(words.trained)
    rows, diverged = [], []
    for number, (name, genotype, k) in enumerate(jobs, start=1):
        folder = arguments.run / FOLDER / f"{name}-seed{k}"
        log.info("network %d of %d: %s, seed %d", number, len(jobs), name, k)
        try:
            start = start_of(arguments, name, k) if arguments.dataset and name != static else None
            if name == static:
                meta = training.ensure_static(folder, name)
            else:
                meta = training.ensure(folder, name, genotype, stream(search.seed, "retraining", k), start)
        except ArithmeticError as error:  # of this network alone
            log.error("%s, seed %d, diverged (%s); lower --head-rates or --static-rate", name, k, error)
            diverged.append(folder.name)
        else:
            if meta.get("before", 0.0) > meta["miou"]:
                log.warning("%s, seed %d, agrees less than before; use what it started from, %s", name, k, start)
            scores = [f"{100 * meta[score]:.2f}" if score in meta else "-" for score in columns.values()]
            rows.append([name, k, *scores, f"{meta['relative_macs']:.2f}", meta["epoch"], folder / BEST])
    headings = ("network", "seed", *columns, "MACs / per-frame", "best epoch", "checkpoint")
    print(tabulate(rows, headings, "github", disable_numparse=True))
    if words.note:
        print(words.note)
    if arguments.dataset:
        print(JUDGED_NEARBY)
    if diverged:
        raise RunError(f"{len(diverged)} of {len(jobs)} networks diverged: {', '.join(diverged)}")


def chosen_networks(arguments: Arguments, search: SearchConfig) -> dict[str, Genotype | None]:
    """Choose cells and fixed points, by name, the best cell first; None is the per-frame network.

    Raises:
        RunError: there is no run, no trial of it has finished, or a fixed point has no such name.
    """
    trials, count = read_trials(arguments.run), arguments.pareto or arguments.top_k
    best = final_ranking(trials)
    ranked = along_front(trials, count, RELATIVE[search.candidate.cost]) if arguments.pareto else best[:count]
    if any(trial.confirms for trial in trials) and not arguments.pareto:
        log.info("cells are taken in the order of the confirmed rewards, not of those of the search")
    if arguments.pareto and not ranked and best:
        raise RunError(f"the run {arguments.run} is of before costs were counted; retrain its best cells with --top-k")
    if count and not ranked:
        raise RunError(
            f"no trial of the run {arguments.run} has finished, so there is no cell to retrain; continue the search "
            f"with `{invocation('search')}`, or retrain the fixed points alone with --top-k 0"
        )
    if len(ranked) < count:
        where = " on its front" if arguments.pareto else ""
        log.warning("the run %s has %d cells%s, not %d", arguments.run, len(ranked), where, count)
    names = search.fixed_points if arguments.fixed_points is None else arguments.fixed_points
    if names and arguments.fixed_points is None:
        log.info(
            "beside the cells the search's fixed points: %s; --fixed-points trains others or none", ", ".join(names)
        )
    found = {f"cell{trial.number}": trial.genotype for trial in ranked} | select(FIXED_POINTS, names)
    return {labelled(name, arguments.label): genotype for name, genotype in found.items()}


def start_of(arguments: Arguments, name: str, seed: int) -> Path | None:
    """Find what a network of the run was retrained to, which goes on from there on a video; None if it was not."""
    from nas.training.saved_training import BEST
    from nas.training.video.results import FOLDER

    path = arguments.run / FOLDER / f"{name.removesuffix(f'-{arguments.label}')}-seed{seed}" / BEST
    if path.exists():
        return path
    log.warning("there is no %s: %s starts from the static network, with a new cell", path, name)
    return None


def labelled(name: str, label: str) -> str:
    """Add a label, if there is one, to the name of a network."""
    return f"{name}-{label}" if label else name


def video_training(arguments: Arguments, search: SearchConfig) -> "VideoTraining":
    """Set up what all networks share: the search's data and static network, this command's recipe and device.

    Raises:
        DataError: the data or the static network are missing or wrong.
        RunError: the device cannot be used.
    """
    # These load torch, for which --help and a bad flag need not wait.
    from nas.settings.compute import start
    from nas.training.candidates.inputs import halved_features, static_of_run, with_stills
    from nas.training.labels import check_labels
    from nas.training.video.ensure import VideoTraining
    from nas.training.video.inputs import read_inputs

    compute, machine = start(arguments.compute), search.machine
    machine = replace(machine, data_root=arguments.data_root or machine.data_root)
    machine = replace(machine, cache_dir=arguments.cache_dir or machine.cache_dir)
    window = arguments.config.retrain.window
    window = require_number(search.data.window if window == "auto" else window)
    checkpoint = arguments.checkpoint or search.static.checkpoint
    if checkpoint is None:
        reach, own = search.data.reach(require_number(search.data.window)), search.machine.data_root
        root = own if arguments.dataset else machine.data_root
        searched = open_dataset(search.data.dataset, root, reach)
        checkpoint = static_of_run(arguments.run, search, searched, machine.cache)
    data = search.data
    if arguments.dataset not in (None, data.dataset):  # a video has the size of the network that labels it
        data = replace(data, dataset=BY_NETWORK, scale=1.0, moving_stills="none")
    filmed = open_dataset(data.dataset, machine.data_root, data.reach(window), network=checkpoint, limit=data.limit)
    dataset = with_stills(filmed, replace(data, window=window))
    census = check_labels(dataset, machine.cache)["train"]
    config = without_labels(arguments.config) if data.dataset == BY_NETWORK else arguments.config
    inputs = read_inputs(
        config,
        dataset,
        census,
        size=scaled_size(dataset.size, data.scale),
        window=window,
        gaps=data.gaps,
        refresh=require_number(data.refresh),
        static_checkpoint=checkpoint,
        cache_dir=machine.cache,
        low=halved_features(search),
        adapted=arguments.dataset is not None,
        compute=compute,
    )
    return VideoTraining(config, inputs, compute)


if __name__ == "__main__":
    run_command("nas.retrain", Arguments, RetrainConfig, main)
