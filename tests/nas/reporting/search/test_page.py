"""Browsers mend any page, so its markup is checked by a parser, and what it would fetch by its addresses."""

import base64
import platform
import re
from html.parser import HTMLParser

import pytest
import yaml

from nas.plot import Arguments, main
from nas.reporting.html_page import code_block, links, page, terms
from nas.reporting.search.page import search_page
from nas.reporting.search.report import redraw
from nas.runs.store import RunStore
from nas.runs.trial import Trial
from nas.settings.config import SearchConfig, SpaceConfig
from nas.settings.config_files import to_mapping
from nas.training.saved_training import STATE
from nas.training.video.results import training_state

VOID = {"meta", "img", "br"}
NASTY = "<script>alert('1')</script> & \"x\""


class Page(HTMLParser):
    """Checks that tags are closed in order; keeps text, headings and what elements point to."""

    def __init__(self, text):
        super().__init__()
        self.open, self.text, self.headings, self.images, self.links, self.tags = [], [], [], [], [], set()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.add(tag)
        self.images += [found["src"]] if tag == "img" else []
        self.links += [found["href"]] if "href" in found else []
        assert "src" not in found or tag == "img"
        assert not any(name.startswith("on") for name in found)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def make_run(directory, trials):
    config = SearchConfig(space=SpaceConfig(space="paper"))
    with RunStore.open(directory, identity={}, config=to_mapping(config)) as store:
        for trial in trials:
            store.append(trial)
    return directory


def page_of(run):
    return redraw(run)[-1].read_text(encoding="utf-8")


def test_a_run_is_one_file_that_fetches_nothing(tmp_path, run_of):
    trials = run_of(20)
    run = make_run(tmp_path / "a & <b>", trials)
    text = page_of(run)
    found = Page(text)
    assert found.headings[:5] == [
        "Best cells beside the fixed points",
        "Reward over the search",
        "What was sampled",
        "The best cells",
        "Score against cost",
    ]
    prefix = "data:image/svg+xml;base64,"
    assert all(image.startswith(prefix) for image in found.images)
    assert [base64.b64decode(image.removeprefix(prefix)) for image in found.images] == [
        (run / "plots" / f"{stem}.svg").read_bytes() for stem in ("rewards", "sampling", "cells", "pareto")
    ]
    assert found.tags.isdisjoint({"script", "link", "iframe", "object"})
    assert re.findall(r"url\(|@import|https?:", re.sub(r"base64,[^\"]*", "", text)) == []
    assert all((run / link).exists() for link in found.links)
    shown = "".join(found.text)
    assert "Search on camvid: a & <b>" in shown
    assert "per_frame" in shown
    assert "learning_rate: 0.008" in shown


def test_facts_and_checkpoints_stand_on_the_page(tmp_path, run_of):
    run = make_run(tmp_path, run_of(8))
    (run / "facts.yaml").write_text(yaml.safe_dump({"data": "camvid at 360x480", NASTY: NASTY}))
    for name, rows, files in (
        ("cell 7#-seed0", "1,0.5\n2,0.625\n3,0.25\n", ("network.pt",)),
        ("per_frame-seed0", "1,0.5\n", ("network.pt", STATE)),
        ("tmanet-seed0", "1,0.5\n", ()),
    ):
        (run / "retrained" / name).mkdir(parents=True)
        (run / "retrained" / name / "curve.csv").write_text(f"epoch,miou\n{rows}")
        for file in files:
            (run / "retrained" / name / file).touch()
    found = Page(page_of(run))
    shown = "".join(found.text)
    assert shown.count(NASTY) == 2
    assert " mIoU 62.50 % on the validation list" in found.text
    assert " mIoU 50.00 % on the validation list (its training is not over)" in found.text
    assert "tmanet-seed0" not in shown
    assert "retrained/cell%207%23-seed0/network.pt" in found.links


@pytest.mark.parametrize(
    "curve", [b"", b"epoch,miou\n", b"epoch,miou\n1,?\n", b"epoch\n1\n", b"epoch,miou\n1\n", b"\xff"]
)
def test_a_damaged_curve_is_no_score_and_no_error(tmp_path, curve):
    (tmp_path / "curve.csv").write_bytes(curve)
    assert training_state(tmp_path / "network.pt") == "(its curve.csv is damaged)"


def test_errors_of_failed_trials_are_text(tmp_path, run_of):
    first = next(trial for trial in run_of(3) if trial.genotype)
    trials = [Trial(number=0, genotype=first.genotype, status="failed", error=f"crash: {NASTY}")]
    found = Page(page_of(make_run(tmp_path, trials)))
    shown = "".join(found.text)
    assert f"crash: {NASTY}" in shown
    assert "1 cells sampled: 1 failed." in shown
    assert "No trial has finished yet." in shown
    assert found.headings == [
        "Best cells beside the fixed points",
        "What was sampled",
        "Failures",
        "How it was done",
        "Files",
    ]


def test_the_plot_command_writes_the_page(tmp_path, run_of):
    run = make_run(tmp_path, run_of(3))
    main(Arguments(run=run))
    assert "The best cell is #" in "".join(Page((run / "report.html").read_text()).text)


@pytest.mark.parametrize("make", [code_block, lambda text: terms([(text, text)]), lambda text: page(text, text, {})])
def test_text_is_escaped(make):
    text = make(NASTY)
    assert "<script" not in text
    assert NASTY in "".join(Page(text).text)


def test_a_list_of_nothing_is_nothing():
    assert links({}) == terms([]) == ""


def test_a_page_is_read_again_while_the_search_goes_on(tmp_path, run_of):
    run, trials = make_run(tmp_path, []), run_of(8)
    settings = to_mapping(SearchConfig())
    going = search_page(run, settings, {}, trials, [], refresh=30)
    over = search_page(run, settings, {}, trials, [])
    assert '<meta http-equiv="refresh" content="30">' in going
    assert "The search goes on" in going
    assert 'http-equiv="refresh"' not in over
    assert "The search goes on" not in over


def test_a_page_says_when_where_and_by_which_version_it_was_written(tmp_path, run_of):
    shown = "".join(Page(page_of(make_run(tmp_path, run_of(3)))).text)
    assert re.search(rf"Written \d{{4}}-\d\d-\d\d \d\d:\d\d \S+ on {re.escape(platform.node())}, by dyncell \S+", shown)


def test_the_settings_of_a_continued_search_are_those_it_was_continued_with(tmp_path, run_of):
    config = SearchConfig(space=SpaceConfig(space="paper"), trials=6)
    with RunStore.open(tmp_path, identity={}, config=to_mapping(config)) as store:
        for trial in run_of(8):
            store.append(trial)
    shown = "".join(Page(page_of(tmp_path)).text)
    assert "trials: 8" in shown
    assert "trials: 6" not in shown
