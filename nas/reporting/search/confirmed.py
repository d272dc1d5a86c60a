"""The confirmed ranking as a table, a sentence and a figure: rewards of the search beside those of longer trainings."""

from collections.abc import Iterator, Sequence
from typing import Final

from matplotlib.figure import Figure

from nas.reporting.style import BLACK, BLUE, GREY, finish
from nas.reporting.tabular import ABSENT, aligned_table
from nas.runs.confirmation import Confirmation, chances, confirmations
from nas.runs.ranking import reward_of
from nas.runs.trial import Trial
from nas.settings.wording import MASKS, Wording

KEY: Final = (
    "Searched: the reward of the short training in the search, which flatters cells that were chosen by it. Confirmed: "
    "mean ± sample standard deviation (seeds) of longer trainings with fresh seeds, cells and fixed points alike; the "
    "static network as it is was scored once. The probability is that of having the highest true mean of these, by "
    "100,000 draws from normal posteriors with one variance, pooled over all networks; the static network has none "
    "where the objective is agreement with it, of which it has all by definition."
)


def confirmed_table(
    trials: Sequence[Trial], form: str = "github", words: Wording = MASKS, objective: str = "geometric_mean"
) -> str:
    """Show what was confirmed, the best mean first; empty if nothing was.

    `form` is tabulate's name of the format, `words` say what scores are called, `objective` what rewards are.
    """
    compared = confirmations(trials, objective)
    lines = [_line(each, chance, words) for each, chance in zip(compared, chances(compared), strict=True)]
    headers = ("network", "searched", "confirmed", f"{words.miou} %", "best with probability")
    return aligned_table(headers, lines, form) if lines else ""


def _line(each: Confirmation, chance: float | None, words: Wording) -> list[str]:
    scored, metric = each.trials or (each.searched,) * each.exact, words.search[f"{words.miou} %"]
    mious = [trial.metrics[metric] for trial in scored if metric in trial.metrics]
    return [
        each.searched.name,
        f"{reward_of(each.searched):.4f}",
        confirmed_score(each),
        f"{100 * sum(mious) / len(mious):.2f}" if mious else ABSENT,
        ABSENT if chance is None else percent(chance),
    ]


def confirmed_score(each: Confirmation) -> str:
    """Write mean, deviation and number of seeds, and how many failed."""
    if each.exact:
        return f"{each.mean:.4f} (as it is)"
    failed = f", {each.failed} failed" if each.failed else ""
    if each.mean is None:
        return f"{ABSENT} ({each.failed} failed)"
    deviation = "" if each.deviation is None else f" ± {each.deviation:.4f}"
    return f"{each.mean:.4f}{deviation} ({len(each.rewards)}{failed})"


def percent(chance: float) -> str:
    """Round a probability to whole percents, but never to certainty."""
    return "< 1 %" if chance < 0.01 else "> 99 %" if chance > 0.99 else f"{100 * chance:.0f} %"


def confirmed_winner(trials: Sequence[Trial], objective: str = "geometric_mean") -> str:
    """Name the network with the best confirmed reward in a sentence; empty if nothing was confirmed."""
    compared = confirmations(trials, objective)
    rivals = [pair for pair in zip(compared, chances(compared), strict=True) if pair[0].competes]
    if not rivals or rivals[0][0].mean is None:
        return ""
    first, chance = rivals[0]
    sure = "" if chance is None else f"; it is the best of the {len(rivals)} with a probability of {percent(chance)}"
    return f"Confirmed by longer training, {first.searched.name} is first with {confirmed_score(first)}{sure}."


def confirmed_rows(compared: Sequence[Confirmation]) -> Iterator[Sequence[object]]:
    """Yield a header, and a row a network."""
    yield "network", "searched", "confirmed", "deviation", "seeds", "failed", "chance_of_best"
    for each, chance in zip(compared, chances(compared), strict=True):
        seeds = len(each.trials)
        yield each.searched.name, each.searched.reward, each.mean, each.deviation, seeds, each.failed, chance


def confirmed_figure(compared: Sequence[Confirmation], objective: str) -> Figure:
    """Draw a line a network, the best on top: its reward in the search, one a longer training, and their mean."""
    figure = Figure(figsize=(7.5, 1.6 + 0.36 * len(compared)), layout="constrained")
    axes = figure.add_subplot()
    places = range(len(compared))
    points = [(reward, place) for place, each in enumerate(compared) for reward in each.rewards]
    means = [(each.mean, place) for place, each in enumerate(compared) if each.mean is not None]
    searched = [reward_of(each.searched) for each in compared]
    axes.plot(searched, places, "o", color=GREY, mfc="none", ms=8, label="searched", zorder=2)
    axes.plot(*zip(*points, strict=True), "o", color=BLUE, ms=5, alpha=0.7, label="confirmed, a seed", zorder=3)
    axes.plot(*zip(*means, strict=True), "|", color=BLACK, ms=16, mew=2, label="confirmed, mean", zorder=4)
    finish(axes, f"reward on meta-val ({objective}, 0 to 1)", "", "Searched and confirmed")
    axes.set_yticks(list(places), [each.searched.name for each in compared])
    axes.set_ylim(len(compared) - 0.5, -0.5)
    figure.legend(loc="outside right upper", frameon=False)
    return figure
