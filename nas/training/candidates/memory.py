"""Memory that training a candidate takes, found without computing or allocating anything."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from nas.networks.heads import build_head, unroll
from nas.settings.compute import GIB
from searchspace.genotype import Genotype


def training_memory(
    genotype: Genotype | None,
    sizes: Mapping[str, Sequence[int]],
    *,
    batch: int,
    frames: int,
    channels: Mapping[str, int],
    classes: int,
    device: torch.device,
    autocast: AbstractContextManager[None],
) -> float:
    """Find how many GiB a forward pass keeps for its backward pass: nearly all that training needs.

    The cell is run on tensors that have shapes but no content, so that kernels are chosen as on `device`.

    Args:
        genotype: of the cell; None for the per-frame network.
        sizes: (channels, height, width) of each feature of a frame.
        batch: windows a step.
        frames: in a window.
        channels: number of channels of each feature, as the static network has them.
        classes: of the classifier.
        device: to be trained on.
        autocast: the precision of the forward pass.
    """
    storages: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage._cdata] = storage.nbytes()
        return tensor

    with FakeTensorMode(), device:
        head = build_head(genotype, channels, classes, seed=0)
        clip = [{name: torch.empty(batch, *size) for name, size in sizes.items()}] * frames
        with saved_tensors_hooks(note, lambda tensor: tensor), autocast:
            unroll(head, clip)
    return sum(storages.values()) / GIB
