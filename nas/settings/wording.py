"""Names of scores: how right a network is, by labels, or how far it agrees with the network that labels a video.

Numbers have the same names everywhere; what they stand for depends on whose the labels are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cache.datasets.catalog import BY_NETWORK


@dataclass(frozen=True)
class Wording:
    """Words for the scores on one kind of data."""

    miou: str
    """Name of the score that decides which network is best."""
    of_class: str
    """Name of the score of one class."""
    search: Mapping[str, str]
    """Heading of a table of trials -> name of the metric."""
    trained: Mapping[str, str]
    """Heading of a table of trained networks -> name of the score."""
    labels: str
    """Name of the labels."""
    title: str
    """Title of a figure of scores and latencies."""
    note: str = ""
    """Sentence that a reader of a table must know."""


MASKS: Final = Wording(
    miou="mIoU",
    of_class="IoU",
    search={"mIoU %": "miou", "fwIoU %": "fwiou", "mAcc %": "mean_accuracy"},
    trained={"mIoU %": "miou", "fwIoU %": "fwiou", "mAcc %": "mean_accuracy"},
    labels="label",
    title="Accuracy against latency",
)
AGREEMENT: Final = Wording(
    miou="agreement",
    of_class="agreement",
    search={"agreement %": "agreement_miou", "agreed pixels %": "agreement"},
    trained={"agreement %": "miou", "agreed pixels %": "pixel_accuracy"},
    labels="label by the network",
    title="Agreement against latency",
    note="Agreement is the mean IoU with the labels that the static network itself gives each frame, and agreed pixels "
    "are the share that get its label. Nobody has labelled these frames: neither tells how right a network is.",
)


def wording(dataset: str) -> Wording:
    """Choose the words for the scores on a data set, by its name."""
    return AGREEMENT if dataset == BY_NETWORK else MASKS
