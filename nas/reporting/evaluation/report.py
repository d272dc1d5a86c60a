"""What `nas.evaluate` leaves in its folder: `report.md`, the numbers as JSON and CSV, and the pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from cache.atomic import write_text
from cache.flow import SHORT_GAP
from cache.images import resize_image
from nas.evaluation.data import EvaluationData
from nas.evaluation.network_cost import Timing
from nas.evaluation.scores import ClassMap, Evaluation, labels_consistency
from nas.reporting.evaluation import figures, tables
from nas.reporting.evaluation.figures import Picture, coloured
from nas.reporting.evaluation.record import Evaluated, Row
from nas.reporting.style import save
from nas.settings.compute import Compute


class EvaluationReport:
    """The tables are on disk as soon as a network is added; the pictures once all are."""

    def __init__(self, folder: Path, data: EvaluationData, facts: Mapping[str, str], panels: int) -> None:
        """Begin, with the labels' own temporal consistency.

        Args:
            folder: to write to.
            data: that the networks are scored on.
            facts: what a reader has to know to judge or repeat the numbers.
            panels: frames to show.
        """
        self._folder, self._data = folder, data
        self.shown = data.examples(panels)
        """Positions of the frames to show."""
        labels, title = labels_consistency(data), f"Networks on the {data.split} list of {data.dataset.name}"
        self._found = Evaluated(title, facts, data.classes, (), (), Row("labels", [labels], [], {}) if labels else None)
        self._predictions: dict[str, Mapping[int, ClassMap]] = {}

    @property
    def summary(self) -> str:
        """The table of scores and costs so far."""
        return tables.summary(self._found.rows)

    def add(self, name: str, seeds: Sequence[Evaluation], cost: Mapping[str, float]) -> None:
        """Add a network and write `evaluation.json`, `report.md`, `networks.csv` and `classes.csv`.

        Args:
            name: of the network.
            seeds: how each of its trainings did; the first one's predictions are shown.
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
            save(figures.accuracy(networks), self._folder / "accuracy")
        if any(self._found.shares):
            save(figures.class_bars(networks, dataset.classes), self._folder / "classes")
        save(figures.panels(self._pictures(), dataset.classes, dataset.colours), self._folder / "panels")

    def _pictures(self) -> dict[str, list[Picture]]:
        """The frames that are shown, their labels and what each network makes of them."""
        dataset, size = self._data.dataset, self._data.size
        frames = [dataset.frames(self._data.split)[place] for place in self.shown]
        _, labels = self._data.frames.batch(self.shown, torch.device("cpu"))
        maps = {"label": list(labels.numpy())}
        maps |= {name: [shown[place] for place in self.shown] for name, shown in self._predictions.items()}
        images = [resize_image(dataset.image(frame), size) for frame in frames]
        return {"frame": images} | {name: [coloured(each, dataset.colours) for each in m] for name, m in maps.items()}


def _text(found: Evaluated) -> str:
    """The text of `report.md`."""
    by_class, bars = (found.networks, found.classes, found.shares), "![IoU of each class](classes.png)"
    sections = [
        f"# {found.title}",
        "\n".join(f"- **{name}**: {fact}" for name, fact in found.facts.items()),
        *("## Scores and costs", tables.summary(found.rows)),
        "![mIoU against mean latency](accuracy.png)" if any(map(figures.is_placed, found.networks)) else "",
        *("## Ways of scoring", tables.protocols(found.rows)),
        *("## Latency, with the 10th and 90th percentile", tables.latencies(found.networks)),
        *("## IoU of each class, %", tables.classes(*by_class), bars),
        *("## Frames", "![Frames, labels and predictions](panels.png)"),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def facts(
    data: EvaluationData, networks: Mapping[str, Sequence[Path]], timing: Timing, compute: Compute
) -> dict[str, str]:
    """What a reader has to know to judge or repeat the numbers."""
    lengths = " or ".join(str(length) for length in sorted({len(window) for window in data.windows}))
    pairs = len(data.flows.pairs) // 2 if data.flows else 0
    scored, timed = (f"{height}x{width}" for height, width in (data.size, timing.size))
    device = torch.cuda.get_device_name(compute.device) if compute.device.type == "cuda" else str(compute.device)
    precision = "float32" if compute.dtype is None else "bfloat16"
    known = {
        "scores": f"at {scored}, pooled over all pixels, means over the classes that the labels have; ± is the "
        "standard deviation over seeds",
        "streamed": f"{len(data.scored)} labelled frames that have a past; the static network begins a run (there are "
        f"{len(data.clips)}) and the head goes through it; what is not called otherwise is streamed",
        "windowed": f"the last frames of {len(data.windows)} windows of {lengths} frames",
        "TC": f"temporal consistency of {pairs} pairs of frames at most {SHORT_GAP} frames of the video apart, without "
        "surfaces that left the frame or were covered; the labels' own score is what a network gets that is always "
        "right; one that is smooth and never sees small things can exceed it",
        "params": "of the whole network, the static decoder among them",
        "MACs, state": f"of a later frame of {timed}, encoder included, with a full memory; that memory in float32",
        "latency": f"median of {timing.repeats} single frames of {timed}, from image to logits at 1/8; the mean is "
        f"over a clip of {timing.clip} frames, and the ratio is that mean over the time of the static network alone, "
        "which the per-frame network is",
        "computed on": f"{device}, {precision}, {torch.get_num_threads()} CPU threads, torch {torch.__version__}",
    }
    return known | {name: ", ".join(map(str, paths)) for name, paths in networks.items()}
