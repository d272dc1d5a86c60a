"""Tables and the report of a run, as Markdown that also reads well in a terminal."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tabulate import tabulate

from nas.reporting.search.confirmed import KEY as CONFIRMED_KEY
from nas.reporting.search.confirmed import confirmed_table
from nas.reporting.tabular import ABSENT
from nas.runs.ranking import fixed_points, ranking, reward_of, sampled, spreads
from nas.runs.trial import Trial
from nas.settings.wording import MASKS, Wording

Cost = tuple[str, str, float, int]  # heading, name of the number, factor, decimals

FIRST: Final = ("rank", "trial", "reward")
COSTS: Final[Sequence[Cost]] = (
    ("MACs / per-frame", "relative_macs", 1, 2),
    ("time / per-frame", "relative_latency", 1, 2),
    ("params (k)", "parameters", 1e-3, 1),
    ("state (kB)", "state_bytes", 1e-3, 1),
)
LAST: Final = ("step (ms)", "seconds", "status")

COLUMNS_KEY: Final = (
    "MACs / per-frame: multiply-adds of a clip, key frames and encoder included, over the per-frame network's; time / "
    "per-frame, where a search counts in time: likewise, predicted as the sum of the blocks in latencies.yaml.\n"
    "params, step: cell and classifier on one later frame, after the encoder; per_frame: the static decoder. "
    "state: memory between frames.\nstep: a median measured on the worker that trained the cell, beside all else that "
    "ran there; to compare roughly, in one run only."
)
KEY: Final = (
    "Scores are on meta-val, part of the training list, after a short training. Fixed points, which have no rank, are "
    "hand-designed networks and the per-frame network, trained and scored like the cells. " + COLUMNS_KEY
)


def best_cells(trials: Sequence[Trial], top: int = 10, form: str = "github", words: Wording = MASKS) -> str:
    """Show the best cells and all fixed points in one table, best reward first; only cells have a rank.

    Scores are on meta-val; the cost is that of a clip over the per-frame network's, parameters and the step's time are
    those of one later frame of the head, the state is what it remembers between frames. A fixed point of several seeds
    shows means, and the spread (sample standard deviation) and number of its rewards. Fixed points that failed stand
    last, with their status. An empty table says so. `form` is tabulate's name of the format, `words`
    say what scores are called.
    """
    ranks = {id(trial): rank for rank, trial in enumerate(ranking(trials)[:top], start=1)}
    shown = ranking(trials)[:top] + fixed_points(trials)
    shown.sort(key=lambda trial: -1.0 if trial.reward is None else trial.reward, reverse=True)
    if not shown:
        return "No trial has finished yet."
    spread = spreads(trials)
    costs = [each for each in COSTS if each[1] != "relative_latency" or any(each[1] in trial.cost for trial in shown)]
    rows = [[ranks.get(id(trial), ABSENT), *_row(trial, spread.get(trial.name), words, costs)] for trial in shown]
    columns = (*FIRST, *words.search, *(heading for heading, *_ in costs), *LAST)
    aligned = ("right", "left", *["right"] * (len(columns) - 3), "left")
    return tabulate(rows, headers=columns, tablefmt=form, colalign=aligned, disable_numparse=True)


def _row(trial: Trial, spread: tuple[float, int] | None, words: Wording, costs: Sequence[Cost]) -> list[str]:
    scores = [_number(trial.metrics.get(name), 100, 2) for name in words.search.values()]
    taken = [_number(trial.cost.get(name), scale, digits) for _, name, scale, digits in costs]
    times = [_number(trial.latency, 1e3, 1), _number(trial.seconds, 1, 1)]
    reward = _number(trial.reward, 1, 4)
    if spread is not None:
        reward += f" ± {spread[0]:.4f} ({spread[1]})"
    return [trial.name, reward, *scores, *taken, *times, trial.status.replace("_", " ")]


def _number(value: float | None, scale: float, digits: int) -> str:
    return ABSENT if value is None else f"{value * scale:,.{digits}f}"


def outcomes(trials: Sequence[Trial]) -> str:
    """Say in one sentence how many cells were sampled and what became of them."""
    cells = sampled(trials)
    trained = Counter(trial.status for trial in cells if trial.repeat_of is None)
    parts = [
        (trained["finished"], "trained to the end"),
        (trained["early_stopped"], "stopped half-way"),
        (trained["failed"], "failed"),
        (sum(trial.repeat_of is not None for trial in cells), "repeated an earlier cell"),
    ]
    counts = ", ".join(f"{count} {what}" for count, what in parts if count)
    return f"{len(cells)} cells sampled" + (f": {counts}." if counts else ".")


def winners(trials: Sequence[Trial]) -> str:
    """Name the best cell and the best fixed point in one sentence; empty before there is a cell with a reward."""
    cells, fixed = ranking(trials), [trial for trial in fixed_points(trials) if trial.ok]
    if not cells:
        return ""
    best = [max(group, key=reward_of) for group in (cells, fixed) if group]
    phrases = [f"{trial.name} with a reward of {reward_of(trial):.4f}{_share(trial)}" for trial in best]
    return f"The best cell is {', and the best fixed point '.join(phrases)}."


def _share(trial: Trial) -> str:
    """Say what a trial costs, if that is known."""
    for name, unit in (("relative_latency", "time"), ("relative_macs", "multiply-adds")):
        if name in trial.cost:
            return f" at {trial.cost[name]:.2f} of the per-frame network's {unit}"
    return ""


def failures(trials: Sequence[Trial], form: str = "github") -> str:
    """Count the reasons of failed trials, most frequent first; empty if none failed."""
    reasons = Counter(trial.error or "unknown" for trial in trials if not trial.ok and trial.repeat_of is None)
    return tabulate(reasons.most_common(), headers=("reason", "trials"), tablefmt=form) if reasons else ""


def report(
    title: str,
    facts: Mapping[str, str],
    trials: Sequence[Trial],
    plots: Sequence[Path] = (),
    words: Wording = MASKS,
    objective: str = "geometric_mean",
) -> str:
    """Write the text of `report.md`.

    Args:
        title: one line.
        facts: what a reader has to know to judge or repeat the run: name -> value, in the order to be shown.
        trials: the whole log.
        plots: PNG files relative to the report, shown in this order; their names are their captions.
        words: what scores are called.
        objective: name of what rewards are.
    """
    sections = [f"# {title}", "\n".join(f"- **{name}**: {value}" for name, value in facts.items())]
    if confirmed := confirmed_table(trials, words=words, objective=objective):
        sections += ["## Confirmed by longer training", confirmed, CONFIRMED_KEY]
    sections += ["## Best cells beside the fixed points", best_cells(trials, words=words)]
    sections += [words.note, KEY, outcomes(trials)]
    if reasons := failures(trials):
        sections += ["## Failures", reasons]
    if plots:
        sections += ["## Plots", *(f"![{plot.stem}]({plot.as_posix()})" for plot in plots)]
    return "\n\n".join(section for section in sections if section) + "\n"
