"""What a search is refused before its first candidate."""

import pytest
import torch

from cache.datasets.shapes import Shapes
from cache.errors import DataError
from cache.static.network import StaticNetwork, save_checkpoint
from nas.settings.compute import Compute
from nas.settings.config import DataConfig, SearchConfig, StaticConfig
from nas.settings.machine_config import ComputeConfig, MachineConfig
from nas.training.candidates.inputs import prepare

CLASSES = list(Shapes().classes)


@pytest.fixture
def config(tmp_path):
    machine = MachineConfig(cache_dir=tmp_path / "cache")
    static = StaticConfig(checkpoint=tmp_path / "network.pt")
    data, compute = DataConfig(dataset="shapes", window=3), ComputeConfig(threads=1)
    return SearchConfig(data=data, static=static, compute=compute, machine=machine)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["lawn", *CLASSES[1:]], f"other classes than the data: class 0 is 'lawn' there and '{CLASSES[0]}' in the"),
        (CLASSES[::-1], "the classes of the data in another order"),
    ],
)
def test_the_checkpoint_of_other_classes_is_refused_before_a_feature_is_made(config, classes, message):
    save_checkpoint(config.static.checkpoint, StaticNetwork(len(CLASSES)), {"classes": classes})
    with pytest.raises(DataError, match=message):
        prepare(config, Compute(torch.device("cpu"), None))
    assert not (config.machine.cache_dir / "features").exists()


def test_the_checkpoint_of_another_number_of_classes_is_refused(config):
    save_checkpoint(config.static.checkpoint, StaticNetwork(len(CLASSES) + 1), {})
    with pytest.raises(DataError, match="class"):
        prepare(config, Compute(torch.device("cpu"), None))
