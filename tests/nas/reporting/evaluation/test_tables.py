import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from nas.reporting.evaluation.figures import accuracy, class_bars, colour, panels
from nas.reporting.evaluation.record import Row
from nas.reporting.evaluation.tables import classes, classes_csv, latencies, numbers_csv, protocols, summary

NAN = float("nan")
CELL = Row(
    "cell3",
    [{"miou": 0.5, "windowed_miou": 0.25, "tc": 0.8}, {"miou": 0.6, "windowed_miou": 0.35, "tc": 0.8}],
    [[0.4, NAN, 0.6], [0.5, NAN, 0.7]],
    {"parameters": 3_200_000, "relative_macs": 0.43, "state_bytes": 2500, "mean": 0.05, "relative_latency": 0.56},
)
FLOOR = Row("per_frame", [{"miou": 0.4, "first_miou": 0.3}], [[0.4, NAN, 0.4]], {"parameters": 2_850_000})
LABELS = Row("labels", [{"tc": 0.9}], [], {})
NAMES, SHARES = ("sky", "car", "road"), (0.25, 0.0, 0.75)


def cells(table):
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return [lines[0], *lines[2:]]


def rows(text):
    return list(csv.reader(io.StringIO(text)))


def test_a_network_is_a_line_with_mean_and_spread_over_its_seeds():
    relative = ["MACs / per-frame", "time / per-frame"]
    assert cells(summary([CELL, FLOOR, LABELS])) == [
        ["network", "seeds", "mIoU %", "TC %", "params (M)", *relative, "mean (ms)", "state (kB)"],
        ["cell3", "2", "55.00 ± 7.07", "80.00 ± 0.00", "3.20", "0.43", "0.56", "50.0", "2"],
        ["per_frame", "1", "40.00", "–", "2.85", "–", "–", "–", "–"],  # noqa: RUF001
        ["labels", "–", "–", "90.00", "–", "–", "–", "–", "–"],  # noqa: RUF001
    ]


def test_relative_costs_at_further_sizes_are_further_columns():
    further = {"relative_macs_at_1024x2048": 0.5, "relative_latency_at_1024x2048": 0.625, "mean_at_1024x2048": 1.0}
    header, line = cells(summary([replace(CELL, cost={**CELL.cost, **further})]))
    assert header[-2:] == ["MACs / per-frame at 1024x2048", "time / per-frame at 1024x2048"]
    assert line[-2:] == ["0.50", "0.62"]


def test_ways_of_scoring_stand_side_by_side():
    assert cells(protocols([CELL, FLOOR])) == [
        ["network", "seeds", "streamed mIoU %", "windowed mIoU %", "mIoU % of first frames", "TC %"],
        ["cell3", "2", "55.00 ± 7.07", "30.00 ± 7.07", "–", "80.00 ± 0.00"],  # noqa: RUF001
        ["per_frame", "1", "40.00", "–", "30.00", "–"],  # noqa: RUF001
    ]


def test_latency_is_a_median_between_two_percentiles_and_may_be_absent():
    kinds = {
        kind: {kind: 0.02, f"{kind}_low": 0.0151, f"{kind}_high": 0.03} for kind in ("per_frame", "first", "later")
    }
    timed = Row("cell3", [], [], {"mean": 0.02} | kinds["per_frame"] | kinds["first"] | kinds["later"])
    assert cells(latencies([timed, FLOOR])) == [
        ["network", "static alone (ms)", "first (ms)", "later (ms)"],
        ["cell3", *["20.0 (15.1 to 30.0)"] * 3],
    ]
    assert latencies([FLOOR]) == "Not measured."


def test_classes_are_lines_and_those_without_labels_have_no_score():
    assert cells(classes([CELL, FLOOR], NAMES, SHARES)) == [
        ["class", "pixels %", "cell3", "per_frame"],
        ["sky", "25.00", "45.00 ± 7.07", "40.00"],
        ["car", "0.00", "–", "–"],  # noqa: RUF001
        ["road", "75.00", "65.00 ± 7.07", "40.00"],
    ]


def test_csv_has_a_line_a_seed_in_plain_units():
    table = rows(numbers_csv([CELL, LABELS]))
    assert table[0] == ["network", "seed", "miou", "windowed_miou", "tc", *CELL.cost]
    assert table[2] == ["cell3", "1", "0.6", "0.35", "0.8", "3200000", "0.43", "2500", "0.05", "0.56"]
    assert table[3] == ["labels", "0", "", "", "0.9", "", "", "", "", ""]
    assert rows(classes_csv([FLOOR], NAMES, SHARES))[1:] == [
        ["per_frame", "0", "sky", "0.25", "0.4"],
        ["per_frame", "0", "car", "0.0", ""],
        ["per_frame", "0", "road", "0.75", "0.4"],
    ]


def test_the_front_joins_networks_that_none_beats_without_being_slower():
    def row(name, ratio, *scores):
        return Row(
            name, [{"miou": score} for score in scores], [[score] for score in scores], {"relative_latency": ratio}
        )

    untimed = Row("untimed", [{"miou": 0.9}], [[0.9]], {})
    rows_ = [row("slow", 0.9, 0.6), row("beaten", 0.8, 0.2, 0.4), row("fast", 0.5, 0.4, 0.6), untimed]
    figure = accuracy(rows_)
    [axes] = figure.axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert lines["Pareto front"] == [pytest.approx(at) for at in ([0.5, 50], [0.9, 60], [0.9, 60])]
    assert [text.get_text() for text in figure.legends[0].texts] == (
        ["Pareto front", "slow (1 seed)", "beaten (2 seeds)", "fast (2 seeds)"]
    )


def test_a_measured_ratio_has_whiskers():
    cost = {"relative_latency": 0.5, "relative_latency_low": 0.4, "relative_latency_high": 0.7}
    axes = accuracy([Row("cell", [{"miou": 0.5}], [[0.5]], cost)]).axes[0]
    [whiskers] = [segments.get_segments() for segments in axes.collections]
    assert whiskers[0][:, 0].tolist() == pytest.approx([0.4, 0.7])


def test_bars_are_means_over_seeds_of_the_classes_that_there_are():
    [axes] = class_bars([CELL, FLOOR], NAMES).axes
    bars = [container for container in axes.containers if hasattr(container, "patches")]
    heights = [[patch.get_height() for patch in each.patches] for each in bars]
    assert heights == [pytest.approx([45, 65]), pytest.approx([40, 40])]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["sky", "road"]


def test_void_is_black_and_a_class_has_its_colour():
    label = np.array([[0, 1, 255]], np.uint8)
    assert colour(label, [(1, 2, 3), (200, 100, 0)]).tolist() == [[[1, 2, 3], [200, 100, 0], [0, 0, 0]]]


def test_panels_show_a_column_a_frame():
    picture = np.zeros((4, 6, 3), np.uint8)
    figure = panels({"frame": [picture] * 3, "label": [picture] * 3}, ("sky",), [(1, 2, 3)])
    assert [axes.get_ylabel() for axes in figure.axes] == ["frame", "", "", "label", "", ""]
    assert [text.get_text() for text in figure.legends[0].texts] == ["sky", "no label"]


def test_titles_of_wide_frames_do_not_run_into_each_other_nor_does_a_long_legend_shrink_the_frames():
    picture = np.zeros((100, 200, 3), np.uint8)
    rows = {"frame": [picture] * 2, "label by the network": [picture] * 2}
    figure = panels(rows, [f"class {number} 10.0%" for number in range(19)], [(1, 2, 3)] * 19)
    figure.draw_without_rendering()
    upper, lower = (axes.yaxis.label.get_window_extent() for axes in figure.axes[::2])
    assert upper.y0 > lower.y1
    assert figure.axes[0].get_window_extent().height > 0.8 * 1.6 * figure.dpi  # of 3.2 inches a frame's width
