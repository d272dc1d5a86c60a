from dataclasses import replace
from pathlib import Path

from nas.reporting.search.tables import best_cells, failures, outcomes, report, winners
from nas.runs.trial import Trial
from searchspace.choices import Choice
from searchspace.genotype import Block, Genotype

SCORES = {"miou": 0.5, "fwiou": 0.75, "mean_accuracy": 0.625, "loss": 1.0}
COST = {"parameters": 203_400.0, "macs": 1e9, "relative_macs": 0.414, "state_bytes": 176_640.0}


def cell(name):
    return Genotype((Block(("past.dec", "cur.layer2"), (Choice(name), Choice(name)), Choice("concat")),))


BEST = Trial(
    number=7,
    genotype=cell("skip"),
    status="finished",
    reward=0.61659,
    metrics=SCORES,
    cost=COST,
    seconds=41.26,
    latency=0.01234,
)
STOPPED = Trial(number=2, genotype=cell("global_pool"), status="early_stopped", reward=0.4)
REPEAT = Trial(number=8, genotype=cell("skip"), status="finished", reward=0.61659, metrics=SCORES, repeat_of=7)
LOST = Trial(number=3, genotype=cell("skip"), status="failed", error="crash: gone")
LOST_AGAIN = Trial(number=4, genotype=cell("skip"), status="failed", error="crash: gone", repeat_of=3)
FLOOR = Trial(fixed_point="per_frame", status="finished", reward=0.5, metrics=SCORES, seconds=9)
BROKEN = Trial(fixed_point="tmanet", status="failed", error="out of memory: 3 GiB")


def rows(table):
    return [[part.strip() for part in line.strip("|").split("|")] for line in table.splitlines()]


def test_a_search_that_counts_in_time_has_a_column_for_it_and_says_so_of_the_winner():
    timed = replace(BEST, cost={**COST, "relative_latency": 0.525})
    header, _, first, *_ = rows(best_cells([timed, FLOOR]))
    assert first[header.index("time / per-frame")] == "0.53"
    assert first[header.index("MACs / per-frame")] == "0.41"
    assert "at 0.53 of the per-frame network's time" in winners([timed, FLOOR])
    assert "at 0.41 of the per-frame network's multiply-adds" in winners([BEST, FLOOR])


def test_the_table_ranks_cells_beside_fixed_points():
    header, _, *body = rows(best_cells([STOPPED, BROKEN, FLOOR, REPEAT, BEST, LOST]))
    scores = ["50.00", "75.00", "62.50"]
    sizes = ["MACs / per-frame", "params (k)", "state (kB)"]
    assert header == [
        "rank",
        "trial",
        "reward",
        "mIoU %",
        "fwIoU %",
        "mAcc %",
        *sizes,
        "step (ms)",
        "seconds",
        "status",
    ]
    absent = ["–"]  # noqa: RUF001
    assert body == [
        ["1", "#7", "0.6166", *scores, "0.41", "203.4", "176.6", "12.3", "41.3", "finished"],
        [*absent, "per_frame", "0.5000", *scores, *absent * 4, "9.0", "finished"],
        ["2", "#2", "0.4000", *absent * 7, "0.0", "early stopped"],
        [*absent, "tmanet", *absent * 8, "0.0", "failed"],
    ]


def test_only_the_best_are_shown_and_every_fixed_point():
    body = rows(best_cells([STOPPED, FLOOR, BEST], top=1))[2:]
    assert [row[1] for row in body] == ["#7", "per_frame"]


def test_a_fixed_point_of_several_seeds_shows_mean_and_spread_of_those_that_ended():
    seeds = [
        Trial(fixed_point="tmanet", status="finished", seed=s, reward=r) for s, r in ((1, 0.5), (2, 0.6), (3, 0.7))
    ]
    body = rows(best_cells([BEST, seeds[0], BROKEN, *seeds[1:]]))[2:]
    assert [row[1:3] for row in body] == [["#7", "0.6166"], ["tmanet", "0.6000 ± 0.1000 (3)"]]


def test_a_table_of_nothing_says_so():
    assert best_cells([LOST]) == "No trial has finished yet."


def test_outcomes_count_each_trial_once():
    trials = [BEST, STOPPED, REPEAT, LOST, LOST_AGAIN, FLOOR]
    assert outcomes(trials) == (
        "5 cells sampled: 1 trained to the end, 1 stopped half-way, 1 failed, 2 repeated an earlier cell."
    )
    assert outcomes([FLOOR]) == "0 cells sampled."


def test_failures_list_reasons_once_with_their_counts():
    assert rows(failures([LOST, LOST_AGAIN, BROKEN, BEST]))[2:] == [["crash: gone", "1"], ["out of memory: 3 GiB", "1"]]
    assert failures([BEST]) == ""


def test_the_report_holds_facts_table_and_pictures():
    text = report("Search on camvid", {"seed": "3"}, [BEST, FLOOR], [Path("plots/rewards.png")])
    assert text.startswith("# Search on camvid\n\n- **seed**: 3\n")
    assert best_cells([BEST, FLOOR]) in text
    assert "![rewards](plots/rewards.png)" in text
    assert "Failures" not in text
    assert "crash: gone" in report("Search", {}, [LOST])
