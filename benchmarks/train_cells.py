"""Training of the cells that the shipped tables hold: searches of one problem in three spaces, one after the other.

    python benchmarks/train_cells.py shapes --runs RUNS
    python benchmarks/train_cells.py camvid --runs RUNS --data-root CAMVID --encoder-weights MOBILENET
    python -m nas.gather RUNS/shapes/video/* --output nas/landscapes/tables/shapes-video.csv.gz

What stands in RUNS is not trained again, so the same command goes on after a stop, and with a larger --share the tables
grow. Half of a plan is uniform draws; the rest is what strategies ask for, and cells trained with three seeds.
"""

import argparse
import logging
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import torch

from baselines.fixed_points import FIXED_POINTS, select
from nas.runs.store import RunStore
from nas.search import make_executor, search
from nas.settings.allocator import keep_freed_memory
from nas.settings.automatic import load_space, resolve_auto
from nas.settings.compute import resolve
from nas.settings.config import SearchConfig
from nas.settings.config_files import from_mapping, identity, overlay, read_mapping, to_mapping
from nas.settings.preset_files import preset_names, read_preset
from nas.strategies.catalog import make_strategy
from nas.training.candidates.beside_search import confirm, evaluate_fixed_points
from nas.training.candidates.early_stopping import EarlyStopping
from nas.training.candidates.inputs import prepare

RECIPES: Final = Path(__file__).parent / "cells"


@dataclass(frozen=True)
class Part:
    """One search of a plan."""

    space: str
    """Space that it searches."""
    strategy: str
    """Strategy that asks for the cells."""
    trials: int
    """Cells at --share 1."""
    seed: int = 0
    """Seed of the search, whose static network is that of seed 0."""
    repetition: int = 0
    """Repetition, with weights of its own; the cells of `random` are the same in each."""
    confirm: int = 0
    """Best cells to train again, four times as long, with three seeds."""


PLAN: Final = (
    Part("video", "random", 500),
    *(Part("video", "ppo", 40, seed) for seed in range(8)),
    *(Part("video", "evolution", 40, seed) for seed in range(5)),
    Part("fast", "random", 300),
    Part("paper", "random", 300),
    *(Part("video", "random", 100, repetition=repetition) for repetition in (1, 2)),
    Part("fast", "random", 20, repetition=1),
    Part("paper", "random", 20, repetition=1),
    Part("video", "random", 500, confirm=20),
)


def main() -> None:
    """Train what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problem", choices=sorted(path.stem for path in RECIPES.glob("*.yaml")))
    parser.add_argument("--runs", type=Path, required=True, help="folder of the searches")
    parser.add_argument("--share", type=float, default=1.0, help="of each part of the plan (default: %(default)s)")
    parser.add_argument("--parts", type=int, nargs="+", default=range(len(PLAN)), help="of the plan (default: all)")
    add_places(parser)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    keep_freed_memory()
    for place in arguments.parts:
        part = PLAN[place]
        part = replace(part, trials=max(1, round(part.trials * arguments.share)))
        folder = arguments.runs / arguments.problem / part.space / name_of(part)
        train(configure(arguments.problem, part, places(arguments)), folder)


def add_places(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say where files are."""
    parser.add_argument("--data-root", type=Path, help="folder of the data set")
    parser.add_argument("--encoder-weights", type=Path, help="ImageNet weights of the encoder")
    parser.add_argument("--checkpoint", type=Path, help="static network, instead of training it")


def places(arguments: argparse.Namespace) -> dict[str, dict[str, Path | None]]:
    """Turn what these flags say into settings of a search."""
    return {
        "machine": {"data_root": arguments.data_root},
        "static": {"encoder_weights": arguments.encoder_weights, "checkpoint": arguments.checkpoint},
    }


def name_of(part: Part) -> str:
    """Name the folder of a part's search."""
    seed = f"-seed{part.seed}" if part.seed else ""
    return f"{part.strategy}-{part.repetition}{seed}"


def configure(problem: str, part: Part, settings: Mapping[str, object]) -> SearchConfig:
    """Put a problem's recipe, a part of the plan and the places of files together."""
    own = {
        "space": {"space": part.space},
        "strategy": part.strategy,
        "trials": part.trials,
        "seed": part.seed,
        "repetition": part.repetition,
        "confirm": part.confirm,
    }
    preset = read_preset(problem, SearchConfig) if problem in preset_names() else {}
    recipe = read_mapping(RECIPES / f"{problem}.yaml")
    return from_mapping(SearchConfig, overlay([preset, recipe, own, settings]), problem)


def train(wanted: SearchConfig, folder: Path) -> None:
    """Search as `nas.search` does, but for the report."""
    compute, space = resolve(wanted.compute), load_space(wanted.space)
    config = resolve_auto(wanted, compute, space)
    if config.seed and config.static.checkpoint is None:  # the same problem for every seed
        first = prepare(replace(config, seed=0), compute).evaluator.static_checkpoint
        config = replace(config, static=replace(config.static, checkpoint=first))
    fixed_points = select(FIXED_POINTS, config.fixed_points)
    with RunStore.open(folder, identity=identity(config), config=to_mapping(config)) as store:
        prepared = prepare(config, compute)
        store.bind("features", prepared.features.fingerprint)
        with closing(make_executor(config, prepared.evaluator)) as executor:
            evaluate_fixed_points(executor, store, fixed_points, config)
            search(make_strategy(config, space), executor, store, config, EarlyStopping())
            confirm(executor, store, config)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
