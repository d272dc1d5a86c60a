import contextlib

import pytest
import torch

from nas.networks.heads import build_head, unroll
from nas.training.candidates.memory import GIB, training_memory
from searchspace.choices import Choice
from searchspace.genotype import Block, Genotype

SIZES = {"layer2": (32, 23, 30), "layer3": (96, 12, 15), "layer4": (320, 6, 8), "dec": (64, 23, 30)}
CHANNELS = {name: size[0] for name, size in SIZES.items()}
SKIP = Choice("skip")


def cell(name, **parameters):
    return Genotype((Block(("cur.layer2", "past.dec"), (SKIP, SKIP), Choice(name, tuple(parameters.items()))),))


def estimate(genotype, batch=2, frames=3):
    rest = {"channels": CHANNELS, "classes": 11, "device": torch.device("cpu"), "autocast": contextlib.nullcontext()}
    return training_memory(genotype, SIZES, batch=batch, frames=frames, **rest)


@pytest.mark.parametrize(
    "genotype",
    [cell("conv3d"), cell("memory_attention", slots=2), cell("attention_propagation", slots=2, stride=2), None],
)
def test_it_is_what_a_real_forward_pass_keeps(genotype):
    storages = {}

    def note(tensor):
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    clip = [{name: torch.rand(2, *size) for name, size in SIZES.items()}] * 3
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        logits = unroll(build_head(genotype, CHANNELS, 11, seed=0), clip)
    assert len(logits) == 2
    assert estimate(genotype) == pytest.approx(sum(storages.values()) / GIB, rel=0.02)


def test_it_grows_with_the_batch_and_the_window():
    small, twice = estimate(cell("conv3d")), estimate(cell("conv3d"), batch=4)
    assert twice == pytest.approx(2 * small, rel=0.1)
    assert estimate(cell("conv3d"), frames=5) == pytest.approx(2 * small, rel=0.1)


def test_the_callers_random_stream_is_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    estimate(cell("conv3d"))
    assert torch.rand(1) == expected
