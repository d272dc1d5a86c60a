"""The files that `nas.evaluate` leaves in its folder: `report.md`, the numbers as JSON and CSV, and the pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from cache.atomic import write_text
from cache.datasets.catalog import BY_NETWORK
from cache.images import resize_image
from nas.evaluation.data import EvaluationData
from nas.evaluation.scores import ClassMap, Evaluation, labels_consistency
from nas.reporting.evaluation import figures, tables
from nas.reporting.evaluation.figures import Picture, colour
from nas.reporting.evaluation.record import Evaluated, Row
from nas.reporting.plot import Plot


class EvaluationReport:
    """Report of several networks: tables are on disk as soon as a network is added, pictures once all are."""

    def __init__(self, folder: Path, data: EvaluationData, facts: Mapping[str, str], panels: int) -> None:
        """Begin, with the labels' own temporal consistency.

        Args:
            folder: folder to write to.
            data: data that the networks are scored on.
            facts: what a reader has to know to judge or repeat the numbers.
            panels: number of frames to show.
        """
        self._folder, self._data = folder, data
        self.shown = data.examples(panels)
        """Positions of the frames to show."""
        labels, title = labels_consistency(data), f"Networks on the {data.split} list of {data.dataset.name}"
        row, agreed = Row("labels", [labels], [], {}) if labels else None, data.dataset.name == BY_NETWORK
        self._found = Evaluated(title, facts, data.classes, (), (), row, agreed)
        self._predictions: dict[str, Mapping[int, ClassMap]] = {}

    @property
    def summary(self) -> str:
        """Table of scores and costs so far, and what they were computed and measured on."""
        return f"{_summary(self._found)}\nComputed on {self._found.facts['computed on']}."

    def add(self, name: str, seeds: Sequence[Evaluation], cost: Mapping[str, float]) -> None:
        """Add a network and write `evaluation.json`, `report.md`, `networks.csv` and `classes.csv`.

        Args:
            name: of the network.
            seeds: results of each of its trainings; the first one's predictions are shown.
            cost: by name, in seconds, bytes and counts.

        Raises:
            OSError: the folder cannot be written or the disk is full; the files that were there stay.
        """
        row = Row(name, [each.scores() for each in seeds], [each.class_iou() for each in seeds], cost)
        self._found = replace(self._found, networks=(*self._found.networks, row), shares=seeds[0].class_shares())
        self._predictions[name] = seeds[0].shown
        self._found.save(self._folder)
        write_text(self._folder / "report.md", _text(self._found))
        write_text(self._folder / "networks.csv", tables.numbers_csv(self._found.rows))
        by_class = self._found.networks, self._found.classes, self._found.shares
        write_text(self._folder / "classes.csv", tables.classes_csv(*by_class))

    def write_pictures(self) -> None:
        """Write `accuracy`, `classes` and `panels`, each as PNG and SVG. Raises OSError as `add`."""
        dataset, networks = self._data.dataset, self._found.networks
        if any(map(figures.is_placed, networks)):
            Plot("accuracy", figures.accuracy(networks, self._found.words)).save(self._folder)
        if any(self._found.shares):
            Plot("classes", figures.class_bars(networks, dataset.classes, self._found.words)).save(self._folder)
        Plot("panels", figures.panels(self._pictures(), dataset.classes, dataset.colours)).save(self._folder)

    def _pictures(self) -> dict[str, list[Picture]]:
        """Make pictures of some frames, their labels and what each network makes of them."""
        dataset, size = self._data.dataset, self._data.size
        frames = [dataset.frames(self._data.split)[place] for place in self.shown]
        _, labels = self._data.frames.batch(self.shown, torch.device("cpu"))
        maps = {self._found.words.labels: list(labels.numpy())}
        maps |= {name: [shown[place] for place in self.shown] for name, shown in self._predictions.items()}
        images = [resize_image(dataset.image(frame), size) for frame in frames]
        return {"frame": images} | {name: [colour(each, dataset.colours) for each in m] for name, m in maps.items()}


def _summary(found: Evaluated) -> str:
    """Show scores and costs, and what a reader must know of them."""
    return "\n\n".join(filter(None, [tables.summary(found.rows, agreed=found.agreed), found.words.note]))


def _text(found: Evaluated) -> str:
    """Write the text of `report.md`."""
    by_class, score = (found.networks, found.classes, found.shares), f"{found.words.of_class} of each class"
    sections = [
        f"# {found.title}",
        "\n".join(f"- **{name}**: {fact}" for name, fact in found.facts.items()),
        *("## Scores and costs", _summary(found)),
        f"![{found.words.miou} against mean latency](accuracy.png)"
        if any(map(figures.is_placed, found.networks))
        else "",
        *("## Ways of scoring", tables.protocols(found.rows, agreed=found.agreed)),
        *("## Latency, with the 10th and 90th percentile", tables.latencies(found.networks)),
        *(f"## {score}, %", tables.classes(*by_class), f"![{score}](classes.png)"),
        *("## Frames", "![Frames, labels and predictions](panels.png)"),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"
