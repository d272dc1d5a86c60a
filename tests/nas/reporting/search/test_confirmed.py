"""Searched and confirmed scores stand side by side: in the table, the sentence, the page and the figure's numbers."""

from dataclasses import replace

import pytest

from nas.reporting.search.confirmed import confirmed_table, confirmed_winner, percent
from nas.reporting.search.facts import beside_random
from nas.reporting.search.page import search_page
from nas.reporting.search.plots import draw
from nas.reporting.tabular import ABSENT
from nas.runs.comparable import Run
from nas.runs.ranking import ranking
from nas.runs.trial import Trial
from nas.settings.config import CandidateConfig, SearchConfig
from nas.settings.config_files import to_mapping
from nas.settings.wording import AGREEMENT, MASKS
from searchspace.space import Space


def confirmed_run(run_of):
    """A search whose second best cell is confirmed to be the first, far beyond the spread."""
    trials = [Trial(fixed_point="static", status="finished", reward=0.55, metrics={"miou": 0.5}), *run_of(20)]
    first, second = ranking(trials)[:2]
    rewards = {first.name: (0.58, 0.6, 0.62), second.name: (0.78, 0.8, 0.82), "per_frame": (0.56, None)}
    genotypes = {first.name: first.genotype, second.name: second.genotype}
    for name, each in rewards.items():
        for seed, reward in enumerate(each):
            ends = {"status": "failed", "error": "x: y"} if reward is None else {"status": "finished", "reward": reward}
            scores = {} if reward is None else {"miou": reward - 0.1}
            trials.append(Trial(confirms=name, genotype=genotypes.get(name), seed=seed, metrics=scores, **ends))
    return trials, first, second


def rows(table):
    return [[part.strip() for part in line.strip("|").split("|")] for line in table.splitlines()]


def test_the_table_has_searched_and_confirmed_scores_the_best_mean_first(run_of):
    trials, first, second = confirmed_run(run_of)
    assert rows(confirmed_table(trials))[2:] == [
        [second.name, f"{second.reward:.4f}", "0.8000 ± 0.0200 (3)", "70.00", "> 99 %"],
        [first.name, f"{first.reward:.4f}", "0.6000 ± 0.0200 (3)", "50.00", "< 1 %"],
        ["per_frame", "0.5530", "0.5600 (1, 1 failed)", "46.00", "< 1 %"],
        ["static", "0.5500", "0.5500 (as it is)", "50.00", "< 1 %"],
    ]
    assert confirmed_winner(trials) == (
        f"Confirmed by longer training, {second.name} is first with 0.8000 ± 0.0200 (3); it is the best of the 4 with "
        "a probability of > 99 %."
    )


def test_what_agrees_with_itself_is_neither_the_winner_nor_probable(run_of):
    trials, first, second = confirmed_run(run_of)
    trials[0] = replace(trials[0], reward=1.0)
    table = rows(confirmed_table(trials, objective="agreement"))[2:]
    assert [(row[0], row[-1]) for row in table] == [
        *(("static", ABSENT), (second.name, "> 99 %"), (first.name, "< 1 %"), ("per_frame", "< 1 %"))
    ]
    assert confirmed_winner(trials, "agreement") == (
        f"Confirmed by longer training, {second.name} is first with 0.8000 ± 0.0200 (3); it is the best of the 3 with "
        "a probability of > 99 %."
    )
    [plot] = [plot for plot in draw(trials, Space.load("paper"), "agreement", "agreement") if plot.name == "confirmed"]
    assert plot.rows[1][-1] is None


def test_the_score_is_the_one_that_has_its_heading_in_the_other_tables(run_of):
    trials = [
        replace(trial, metrics=trial.metrics | {"agreement_miou": trial.metrics["miou"] + 0.25}) if trial.ok else trial
        for trial in confirmed_run(run_of)[0]
    ]
    for words, scores in (
        (MASKS, ["70.00", "50.00", "46.00", "50.00"]),
        (AGREEMENT, ["95.00", "75.00", "71.00", "75.00"]),
    ):
        header, _, *lines = rows(confirmed_table(trials, words=words))
        assert header[3] == f"{words.miou} %" == next(iter(words.search))
        assert [line[3] for line in lines] == scores


def test_the_page_of_a_search_by_agreement_names_a_cell_as_the_winner(tmp_path, run_of):
    trials, _, second = confirmed_run(run_of)
    trials[0] = replace(trials[0], reward=1.0)
    settings = to_mapping(SearchConfig(candidate=CandidateConfig(objective="agreement")))
    text = search_page(tmp_path, settings, {}, trials, [])
    assert f"Confirmed by longer training, {second.name} is first with" in text


def test_nothing_is_shown_where_nothing_was_confirmed(run_of):
    assert confirmed_table(run_of(5)) == confirmed_winner(run_of(5)) == ""


def test_the_page_and_the_pictures_put_the_confirmed_ranking_first(tmp_path, run_of):
    trials, first, second = confirmed_run(run_of)
    plots = {plot.name: plot for plot in draw(trials, Space.load("paper"), "geometric mean")}
    header, *numbers = plots["confirmed"].rows
    assert header[:4] == ("network", "searched", "confirmed", "deviation")
    assert [row[0] for row in numbers] == [second.name, first.name, "per_frame", "static"]
    assert [row[2] for row in numbers] == pytest.approx([0.8, 0.6, 0.56, 0.55])
    assert plots["cells"].rows[1][:2] == (1, second.number)
    text = search_page(tmp_path, to_mapping(SearchConfig()), {}, trials, list(plots.values()))
    assert "Confirmed by longer training" in text
    assert "0.8000 ± 0.0200 (3)" in text


@pytest.mark.parametrize(("chance", "words"), [(0.0, "< 1 %"), (0.456, "46 %"), (1.0, "> 99 %")])
def test_a_probability_is_never_certain(chance, words):
    assert percent(chance) == words


def test_random_search_is_named_where_it_is_known(tmp_path, run_of):
    trials = run_of(2)
    cell = next(trial.genotype for trial in trials if trial.genotype)
    rewards = (0.1, 0.2, 0.6)
    others = [Trial(number=n, genotype=cell, status="finished", reward=reward) for n, reward in enumerate(rewards)]
    said = beside_random(trials, [Run(tmp_path / "dice", SearchConfig(), tuple(others), "one")])["beside random search"]
    assert "the best of 2 random trials has a reward of 0.4667 on average, by the 3 of dice" in said  # 0.2, 0.6, 0.6
    assert beside_random(trials, []) == {}
