"""The picture of a run's data: frames that candidates are scored on, their labels, and the share of each class."""

import torch

from cache.datasets.clips import VOID, scored_places
from cache.images import resize_image
from nas.evaluation.examples import spread_evenly
from nas.reporting.evaluation.figures import colour, panels
from nas.reporting.plot import Plot
from nas.settings.wording import wording
from nas.training.candidates.inputs import Prepared

SHOWN = 4  # frames


def data_plot(prepared: Prepared) -> Plot:
    """Show frames of meta-val above their labels, and each class with its share of the training list's labels.

    Raises:
        DataError: a frame cannot be read.
    """
    dataset, frames = prepared.dataset, prepared.dataset.frames("train")
    places = spread_evenly(scored_places(prepared.evaluator.val_clips, frames), SHOWN)
    labels = prepared.features.tensor("label")[places].numpy()
    shares = _shares(prepared.features.tensor("label8")[: len(frames)], len(dataset.classes))
    pictures = {
        "frame": [resize_image(dataset.image(frames[place]), prepared.size) for place in places],
        wording(dataset.name).labels: [colour(label, dataset.colours) for label in labels],
    }
    legend = [f"{name} {share:.1%}" for name, share in zip(dataset.classes, shares, strict=True)]
    rows = [("class", "share_of_labelled_pixels"), *zip(dataset.classes, shares, strict=True)]
    return Plot("data", panels(pictures, legend, dataset.colours), rows)


def _shares(labels: torch.Tensor, classes: int) -> list[float]:
    """Compute the share of each class in the labelled pixels of maps (N, h, w); 0 where there are none."""
    counts = torch.bincount(labels.flatten(), minlength=VOID + 1)[:classes].double()
    shares: list[float] = (counts / counts.sum().clamp(min=1)).tolist()
    return shares
