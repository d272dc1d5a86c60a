"""`python -m nas.pretrain`: train the static network alone, or find it if it is trained already."""

from dataclasses import dataclass, field
from typing import Annotated

from tyro.conf import arg

from nas.settings.command_line import run_command
from nas.settings.config import PretrainConfig
from nas.settings.errors import RunError


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Train the static network that segments single frames and feeds the cells.

    The best network by validation mIoU is kept, with its curve beside it. The same command goes on with a training
    that was stopped, and `nas.search` with the same settings uses the result.
    """

    config: Annotated[PretrainConfig, arg(name="")] = field(default_factory=PretrainConfig)
    preset: str | None = None
    """Named settings, e.g. `laptop` (half resolution, minutes without a GPU), or a YAML file of one's own."""


def main(arguments: Arguments) -> None:
    """Train, and print where the checkpoint is."""
    # These load torch, for which --help and a bad flag need not wait.
    from cache.datasets.catalog import BY_NETWORK, open_dataset
    from nas.settings.compute import start
    from nas.training.labels import check_labels
    from nas.training.static.adopt import adopt_teacher
    from nas.training.static.ensure import ensure_static

    config = arguments.config
    if config.static.checkpoint is not None:
        raise RunError(
            f"--checkpoint {config.static.checkpoint} says what to use instead of training; leave it out here"
        )
    compute = start(config.compute)
    if config.static.network is not None and config.data.dataset == BY_NETWORK:
        print(adopt_teacher(config.static.network, config.machine.cache))
        return
    dataset = open_dataset(config.data.dataset, config.machine.data_root)
    check_labels(dataset, config.machine.cache)
    path = ensure_static(config, dataset, config.machine.cache, compute)
    print(path)


if __name__ == "__main__":
    run_command("nas.pretrain", Arguments, PretrainConfig, main)
