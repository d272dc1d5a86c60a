"""Folding of batch norms into the convolutions before them: the same function in fewer steps, for use alone."""

import copy
from collections.abc import Iterator
from itertools import pairwise
from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Module = TypeVar("Module", bound=nn.Module)


def fold_norms(network: Module) -> Module:
    """Copy a network for inference, in eval mode, with the batch norm after each convolution folded into its weights.

    Logits stay what they were but for rounding (1e-6 in float64). Weights are channels-last and have no gradients. Such
    a network cannot be trained or saved any more: its norms are gone.

    A pair is a convolution and the batch norm behind it in an `nn.Sequential`, or two neighbours called `x` and
    `x_norm`. Any other norm remains, such as one before a convolution or after a sum.
    """
    lean = copy.deepcopy(network).eval().requires_grad_(False)
    for parent, first, second in list(_pairs(lean)):
        conv, norm = parent.get_submodule(first), parent.get_submodule(second)
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        setattr(parent, first, fuse_conv_bn_eval(conv, norm))
        setattr(parent, second, nn.Identity())
    return lean.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _pairs(network: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """Find the pairs, each as a module and the names of its two children."""
    for parent in network.modules():
        for (first, conv), (second, norm) in pairwise(parent.named_children()):
            follows = isinstance(parent, nn.Sequential) or second == f"{first}_norm"
            if follows and isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                yield parent, first, second
