"""The text of a comparison of strategies: tables, and in plain language what the tests say and could have said."""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from tabulate import tabulate

from nas.reporting.comparison.numbers import MEASURES, Difference, Search, by_strategy, measures, pairwise
from nas.reporting.comparison.significance import smallest_p
from nas.reporting.tabular import ABSENT

LEVEL: Final = 0.05
LATE: Final = "mean of the last quarter"
NOTES: Final = (
    "Rewards are on meta-val, after a candidate's short training; a best reward was chosen on what it is measured by, "
    "and so flatters every strategy. A confirmed reward is the highest mean of a run's best cells when trained again, "
    "longer and with fresh seeds, of as many cells of each run. Trained are the trials that do not repeat an earlier "
    "cell of their search. ± is the sample standard deviation over seeds. Tests are two-sided, exact Mann-Whitney U "
    "tests over seeds. Intervals are percentile bootstraps over seeds, too narrow for few of them."
)


def comparison_report(facts: Sequence[str], searches: Sequence[Search], rows: Sequence[Sequence[object]]) -> str:
    """Write the text of `comparison.md`, as Markdown that also reads well in a terminal.

    Args:
        facts: sentences that a reader needs to judge it.
        searches: searches of equal length.
        rows: table of the runs, its header first.
    """
    differences = [each for measure in measures(searches) for each in pairwise(searches, measure)]
    sections = ["# Strategies at equal budget", _bullets(facts), strategies_table(searches)]
    if differences:
        readings = dict.fromkeys(map(reading, differences))  # what a pair cannot show, it cannot in any measure
        sections += ["## Differences", differences_table(differences), _bullets(readings)]
    else:
        sections.append("There is one strategy only, so nothing is tested.")
    runs = tabulate(rows[1:], headers=[str(name) for name in rows[0]], tablefmt="github", floatfmt=".4f")
    return "\n\n".join([*sections, NOTES, "## Runs", runs]) + "\n"


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def strategies_table(searches: Sequence[Search]) -> str:
    """Show a row a strategy: seeds, trained trials, and mean and standard deviation over the seeds of each measure."""
    columns, rows = measures(searches) | {"late": LATE}, []
    for strategy, group in by_strategy(searches).items():
        values = [[getattr(search, measure) for search in group] for measure in columns]
        trained = f"{np.mean([search.trained for search in group]):.0f}"
        rows.append([strategy, len(group), trained, *map(_mean_and_spread, values)])
    headers = ("strategy", "seeds", "trained", *columns.values())
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def _mean_and_spread(values: Sequence[float]) -> str:
    if np.isnan(values).any():
        return ABSENT
    spread = f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
    return f"{np.mean(values):.4f}{spread}"


def differences_table(differences: Sequence[Difference]) -> str:
    """Show a row a test; with one pair of strategies there is nothing to adjust."""
    rows = []
    for each in differences:
        pair = f"{each.first} - {each.second}"
        interval = "{:+.4f} to {:+.4f}".format(*each.interval) if each.interval else ABSENT
        effect = [f"{each.difference:+.4f}", interval, f"{each.wins:.0%}"]
        rows.append([pair, MEASURES[each.measure], *effect, f"{each.p:.3g}", f"{each.adjusted:.3g}"])
    several = differences[0].pairs > 1
    headers = ("pair", "measure", "difference", "95 % interval", "first is higher in", "p", "p (Holm)")
    shown = slice(len(headers) if several else -1)
    return tabulate([row[shown] for row in rows], headers=headers[shown], tablefmt="github", disable_numparse=True)


def reading(difference: Difference) -> str:
    """Say in one sentence what a test shows, and what it could have shown."""
    each, (one, two) = difference, difference.seeds
    pair, measure = f"{each.first} and {each.second}", MEASURES[each.measure]
    corrected = f" after Holm's correction for {each.pairs} pairs" if each.pairs > 1 else ""
    p = f"p = {each.adjusted:.3g}{corrected}"
    if each.smallest > LEVEL:
        return (
            f"{pair}: with {one} and {two} seeds the smallest possible p is {each.smallest:.3g}{corrected}: this "
            f"cannot show a difference at {LEVEL}, however large it is; {_seeds_needed(each.pairs)} seeds each could"
        )
    if each.adjusted <= LEVEL:
        higher, lower = (each.first, each.second) if each.wins > 0.5 else (each.second, each.first)
        return f"{pair}, {measure}: {higher} is above {lower} ({p}), by more than seeds alone usually make"
    return f"{pair}, {measure}: no difference shown ({p}), which is no proof that there is none"


def _seeds_needed(pairs: int) -> int:
    """Count the seeds of each strategy with which the smallest possible p is at LEVEL."""
    seeds = 1
    while pairs * smallest_p(seeds, seeds) > LEVEL:
        seeds += 1
    return seeds
