"""Random rescaling and mirroring of training frames, which keep their size."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from cache.datasets.clips import VOID


def augment(
    images: Tensor, labels: Tensor, scale_range: tuple[float, float], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Zoom each frame in or out about a random place, and mirror half of them.

    A frame made larger is cropped, one made smaller lies somewhere inside: beyond it the image is 0, the label `VOID`.

    Args:
        images: normalised, float (N, 3, H, W), so that 0 is the mean colour.
        labels: uint8 (N, H, W).
        scale_range: smallest and largest factor; drawn uniformly in its logarithm, so that halving and doubling are
            equally likely (ours: the paper gives the range only).
        generator: on the CPU, whatever the device of the frames.

    Returns:
        New tensors of the same shapes, images channels-last.
    """
    low, high = (math.log(bound) for bound in scale_range)
    zoom, mirror, right, down = torch.rand(4, len(images), generator=generator)
    shrink = (-low - zoom * (high - low)).exp()  # 1 / scale: of coordinates in the result to coordinates in the source
    room = (1 - shrink).abs()  # of the centre, either way, in half heights and widths
    sampling = torch.zeros(len(images), 2, 3)
    sampling[:, 0, 0] = torch.where(mirror < 0.5, shrink, -shrink)
    sampling[:, 1, 1] = shrink
    sampling[:, 0, 2] = (2 * right - 1) * room
    sampling[:, 1, 2] = (2 * down - 1) * room
    grid = functional.affine_grid(sampling.to(images.device), [len(images), 1, *labels.shape[1:]], align_corners=False)
    views = functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    marks = (labels.float() - VOID)[:, None]  # so that 0, which is what lies outside, means void
    seen = functional.grid_sample(marks, grid, mode="nearest", padding_mode="zeros", align_corners=False)[:, 0]
    return views.contiguous(memory_format=torch.channels_last), (seen + VOID).to(labels.dtype)
