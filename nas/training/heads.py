"""Heads by what they are described with: a genotype for a cell, None for the per-frame network."""

import torch

from baselines.per_frame import PerFrame
from searchspace.cell import DynamicCell
from searchspace.genotype import Genotype


def build_head(genotype: Genotype | None, channels: int, classes: int, seed: int) -> DynamicCell | PerFrame:
    """A head with weights drawn from `seed`; equal cells get equal weights, however they are described.

    Args:
        genotype: of a cell; None for the per-frame network.
        channels: of `dec`.
        classes: of the classifier.
        seed: of the initial weights; torch's global generator stays as it is.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        if genotype is None:
            return PerFrame(channels, classes)
        return DynamicCell(genotype.canonical(), channels, classes)
