"""Random rescaling, cropping and mirroring of training frames, the same for all frames of a window."""

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from cache.datasets.clips import VOID

NOWHERE: Final = 1e6
"""Flow in pixels that leads out of every frame, for surfaces that are not seen in the other frame."""


def augment(
    images: Tensor, labels: Tensor, scale_range: tuple[float, float], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """View images (N, 3, H, W) and their labels (N, H, W) as `Views.draw` chooses for each."""
    views = Views.draw(len(images), (images.shape[-2], images.shape[-1]), scale_range, generator)
    return views.of_images(images), views.of_labels(labels)


@dataclass(frozen=True)
class Views:
    """Views of N frames or windows, one each: zoomed in or out about a random place, cut out, half of them mirrored.

    A frame made larger is cropped, one made smaller lies somewhere inside: beyond it the image is 0, the label `VOID`,
    and flow leads `NOWHERE`. What is viewed belongs to N frames, or has a leading dimension for the T frames of N
    windows, and the T frames of a window share its view.
    """

    maps: Tensor
    """Affine maps from normalised coordinates in the view to those in the frame, (N, 2, 3)."""
    full: tuple[int, int]
    """Height and width of the frames."""
    size: tuple[int, int]
    """Height and width of the views."""

    @classmethod
    def draw(
        cls,
        count: int,
        full: tuple[int, int],
        scale_range: tuple[float, float],
        generator: torch.Generator,
        crop: int = 0,
    ) -> "Views":
        """Choose `count` views.

        Args:
            count: number of views, N.
            full: height and width of the frames.
            scale_range: smallest and largest factor; drawn uniformly in its logarithm, so that halving and doubling are
                equally likely (ours: the paper gives the range only).
            generator: random numbers, on the CPU whatever the device of the frames.
            crop: longest side of a view, in pixels; 0 keeps the size.
        """
        size = min(crop or full[0], full[0]), min(crop or full[1], full[1])
        low, high = (math.log(bound) for bound in scale_range)
        zoom, mirror, right, down = torch.rand(4, count, generator=generator)
        shrink = (-low - zoom * (high - low)).exp()  # 1 / scale
        maps = torch.zeros(count, 2, 3)
        for row, place in enumerate((right, down)):
            side, part = full[1 - row], shrink * size[1 - row] / full[1 - row]  # of the frame that is seen
            start = place * (1 - part) * side
            start = torch.where(shrink == 1, start.round(), start)  # a mere crop lies on whole pixels: no blur
            maps[:, row, row] = part
            maps[:, row, 2] = 2 * start / side + part - 1
        maps[:, 0, 0] = torch.where(mirror < 0.5, maps[:, 0, 0], -maps[:, 0, 0])
        return cls(maps, full, size)

    def of_images(self, images: Tensor) -> Tensor:
        """View normalised images, float (..., N, 3, H, W), whose mean colour is 0; the result is channels-last."""
        flat = images.flatten(0, -4)
        views = functional.grid_sample(flat, self._grid(flat), "bilinear", "zeros", align_corners=False)
        return views.contiguous(memory_format=torch.channels_last).view(*images.shape[:-2], *self.size)

    def of_labels(self, labels: Tensor) -> Tensor:
        """View labels, uint8 (..., N, H, W)."""
        marks = (labels.float() - VOID).flatten(0, -3)[:, None]  # so that 0, which is what lies outside, means void
        views = functional.grid_sample(marks, self._grid(marks), "nearest", "zeros", align_corners=False)
        return (views + VOID).to(labels.dtype).view(*labels.shape[:-2], *self.size)

    def of_flows(self, flows: Tensor) -> Tensor:
        """View flows, float (..., N, 2, H, W), in pixels, between frames that have the same view."""
        flat = flows.flatten(0, -4)
        grid = self._grid(flat)
        views = functional.grid_sample(flat, grid, "nearest", "border", align_corners=False)
        sides = [[size / full] for size, full in zip(self.size[::-1], self.full[::-1], strict=True)]
        stretch = torch.tensor(sides).T / self.maps[:, [0, 1], [0, 1]]  # pixels of the view to one of the frame, (N, 2)
        views = views * stretch.to(flat.device).repeat(len(flat) // len(stretch), 1)[..., None, None]
        inside = (grid.abs() <= 1).all(-1)[:, None]
        return torch.where(inside, views, NOWHERE).view(*flows.shape[:-2], *self.size)

    def _grid(self, flat: Tensor) -> Tensor:
        """Find where each pixel of the views of a tensor (T * N, C, H, W) lies in it."""
        maps = self.maps.repeat(len(flat) // len(self.maps), 1, 1).to(flat.device)
        return functional.affine_grid(maps, [len(flat), 1, *self.size], align_corners=False)
