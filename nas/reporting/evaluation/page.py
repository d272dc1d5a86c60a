"""The networks of a run that were evaluated, as sections of its page."""

from pathlib import Path
from typing import Final

from nas.reporting.evaluation import tables
from nas.reporting.evaluation.record import RECORD, Evaluated
from nas.reporting.html_page import details, paragraph, picture, scrolling, terms

FOLDER: Final = "evaluation"  # in the run's directory, with a folder for each split that networks were evaluated on
PICTURES: Final = {  # stem of the file -> caption
    "accuracy": "{0.miou} against the mean latency of a clip's frames, over that of the per-frame network. The line "
    "joins the networks that no other beats in it without being slower.",
    "classes": "{0.of_class} of each class that the labels have.",
    "panels": "Some frames, their labels, and what each network's first seed makes of them; black has no label.",
}
KEY: Final = (
    "± is the standard deviation over so many seeds. TC is temporal consistency. MACs and time are means over a "
    "clip, over those of the per-frame network."
)


def evaluations(run: Path) -> dict[str, str]:
    """Return heading -> html of each evaluation in the run's directory. Raises RunError for a damaged one."""
    folders = [path.parent for path in sorted(run.glob(f"{FOLDER}/*/{RECORD}"))]
    return dict(_section(folder) for folder in folders)


def _section(folder: Path) -> tuple[str, str]:
    found = Evaluated.load(folder / RECORD)
    drawn = {caption.format(found.words): folder / f"{stem}.svg" for stem, caption in PICTURES.items()}
    by_class = tables.classes(found.networks, found.classes, found.shares, "html")
    parts = [
        scrolling(tables.summary(found.rows, "html", found.agreed)) + paragraph(f"{found.words.note} {KEY}"),
        *(picture(path.read_bytes(), caption) for caption, path in drawn.items() if path.exists()),
        details(f"{found.words.of_class} of each class, %", scrolling(by_class)),
        details("Ways of scoring", scrolling(tables.protocols(found.rows, "html", found.agreed))),
        details("Latency, with the 10th and 90th percentile", scrolling(tables.latencies(found.networks, "html"))),
        details("How it was measured", terms(found.facts.items())),
    ]
    return found.title, "\n".join(parts)
