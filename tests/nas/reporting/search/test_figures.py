from dataclasses import replace

import pytest
from matplotlib.figure import Figure

from nas.reporting.plot import Plot
from nas.reporting.search import cell_drawing, figures, sampling_figure
from nas.reporting.search.captions import GLOSSARY, glossary, short
from nas.reporting.search.curves import reward_curve, sampled_shares
from nas.reporting.style import BLACK
from nas.runs.ranking import pareto_front, with_cost
from nas.runs.trial import Trial
from searchspace.choices import Choice
from searchspace.genotype import Block, Genotype
from searchspace.space import Space

PAPER = Space.load("paper")


def overlapping(figure):
    """Pairs of texts of a figure that cover each other, and texts that leave the picture."""
    figure.draw_without_rendering()
    texts = [t for axes in figure.axes for t in axes.texts if t.get_text()]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    return [
        (one, two)
        for index, (one, a) in enumerate(boxes)
        for two, b in boxes[index + 1 :]
        if a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1
    ] + [name for name, box in boxes if not figure.bbox.contains(box.x0, box.y0) or box.x1 > figure.bbox.x1]


@pytest.mark.parametrize(
    ("label", "caption"),
    [
        ("skip", "skip"),
        ("separable_conv(dilation=1, kernel=3)", "separable conv 3x3"),
        ("separable_conv(dilation=6, kernel=5)", "separable conv 5x5 dil 6"),
        ("local_correlation(window=7)", "local correlation 7x7"),
    ],
)
def test_captions_are_short(label, caption):
    assert short(label) == caption


def test_the_reward_plot_draws_the_curve_it_is_given(run_of):
    trials = run_of(48, fixed_points=("per_frame", "tmanet"))
    curve = reward_curve(trials)
    axes = figures.rewards(curve, [t for t in trials if t.fixed_point], "product").axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    assert tuple(lines["best so far"].get_ydata()) == curve.best
    assert tuple(lines["mean of the latest 20"].get_ydata()) == curve.mean[19:]
    assert axes.get_ylabel() == "reward on meta-val (product, 0 to 1)"
    assert tuple(lines[f"failed ({len(curve.failed)})"].get_xdata()) == curve.failed
    assert {"per_frame (0.553)", "tmanet (0.553)"} <= lines.keys()
    assert sum(len(points.get_offsets()) for points in axes.collections) == len(curve.trials)


def test_a_name_with_dollar_signs_is_a_name(run_of):
    trial = Trial(fixed_point="$\\frac$ <script>", status="finished", reward=0.5)
    plot = Plot("rewards", figures.rewards(reward_curve(run_of(8)), [trial], "product"))
    assert b"<script>" not in plot.svg


def test_the_sampling_plot_draws_a_line_for_each_choice(run_of):
    panels = [sampled_shares(run_of(48), kind, PAPER) for kind in ("operation", "aggregation", "input")]
    figure = sampling_figure.samples(panels)
    for axes, panel in zip(figure.axes, panels, strict=True):
        drawn = [tuple(line.get_ydata()) for line in axes.lines[: len(panel.shares)]]
        assert drawn == list(panel.shares.values())
        styles = {(line.get_color(), line.get_marker()) for line in axes.lines[: len(drawn)]}
        assert len(styles) == len(drawn)


def test_few_trials_are_points_and_no_trends(run_of):
    trials = run_of(17)
    labels = [line.get_label() for line in figures.rewards(reward_curve(trials), [], "product").axes[0].lines]
    assert labels == ["best so far", *(label for label in labels if label.startswith("failed"))]
    panels = [sampled_shares(trials, kind, PAPER) for kind in ("operation", "aggregation", "input")]
    for axes, panel in zip(sampling_figure.samples(panels).axes, panels, strict=True):
        expected, overall = axes.lines
        assert {expected.get_linestyle(), overall.get_linestyle()} == {"None"}
        assert list(overall.get_xdata()) == list(panel.overall.values())
        assert list(expected.get_xdata()) == list(panel.expected.values())


def test_ticks_are_the_numbers_they_say(run_of):
    panels = [sampled_shares(run_of(count), "operation", PAPER) for count in (17, 48)]
    for axis in (
        sampling_figure.samples([panels[0]]).axes[0].xaxis,
        sampling_figure.samples([panels[1]]).axes[0].yaxis,
    ):
        for place, label in zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=True):
            assert float(label.get_text().removesuffix("%")) == pytest.approx(100 * place)


def test_coinciding_lines_have_markers_of_different_sizes(run_of):
    panel = sampled_shares(run_of(48), "operation", PAPER)
    lines = sampling_figure.samples([panel]).axes[0].lines[: len(panel.shares)]
    assert len({line.get_markersize() for line in lines}) == len(lines)


def test_fixed_points_are_told_from_all_other_lines(run_of):
    trials = run_of(48, fixed_points=("a", "b", "c", "d", "e", "f"))
    axes = figures.rewards(reward_curve(trials), [t for t in trials if t.fixed_point], "product").axes[0]
    assert len({line.get_color() for line in axes.lines[:8]}) == 8
    dashes = [dashed for _, dashed, _ in figures.FIXED_POINTS]
    assert len(set(dashes)) == len(dashes)
    assert [line.get_label() for line in axes.lines if line.get_color() == BLACK] == ["best so far"]


def test_the_pareto_figure_has_a_panel_a_cost_and_numbers_its_points(run_of):
    trials = [replace(trial, latency=0.001 * place) for place, trial in enumerate(run_of(12), start=1)]
    costs = ("relative_macs", "parameters", "latency")
    cells = {cost: with_cost(trials, cost) for cost in costs}
    fronts = {cost: pareto_front(trials, cost) for cost in costs}
    figure = figures.pareto(cells, fronts, [t for t in trials if t.fixed_point])
    assert len(figure.axes) == 3
    for axes, front in zip(figure.axes, fronts.values(), strict=True):
        assert {trial.name for trial in front if trial.number is not None} <= {text.get_text() for text in axes.texts}
        [steps] = [line for line in axes.lines if line.get_label() == "Pareto front"]
        assert list(steps.get_ydata()) == [trial.reward for trial in front]


@pytest.mark.parametrize(
    ("inputs", "title"),
    [(("cur.layer2", "past.dec"), "0: memory attention T4"), (("past.dec", "cur.layer2"), "0: memory attention T1")],
)
def test_a_memory_is_drawn_as_long_as_it_is_read(inputs, title):
    block = Block(inputs, (Choice("skip"), Choice("skip")), Choice("memory_attention", (("slots", 4),)))
    figure = cell_drawing.cells([("a", Genotype((block,)))])
    assert title in {text.get_text() for text in figure.axes[0].texts}


def test_abbreviations_are_explained_where_they_occur():
    assert glossary(["memory attention T4 /2"]) == [GLOSSARY[r"\bT\d"], GLOSSARY[r" /\d"]]
    assert glossary(["cur.layer2", "past.dec"]) == [
        GLOSSARY[key] for key in (r"\bcur\.", r"\bpast\.", r"\blayer\d", r"\bdec\b")
    ]
    assert glossary(["attention propagation T3 /2 m4", "gated fusion light", "separable conv 5x5 dil 6"]) == [
        GLOSSARY[key] for key in (r"\bT\d", r"\d+x\d+", r"\bdil \d", r" /\d", r" m\d", r" light\b")
    ]
    assert glossary(["skip", "conv3d", "concat"]) == []


@pytest.mark.parametrize("seed", range(3))
def test_texts_of_drawn_cells_neither_cover_each_other_nor_leave_their_cards(run_of, seed):
    cells = [(trial.name, trial.genotype) for trial in run_of(6, seed=seed) if trial.genotype][:2]
    longest = Choice("separable_conv", (("kernel", 15), ("dilation", 32)))
    wide = Genotype((Block(("past.dec", "past.dec"), (longest, longest), Choice("predictive_filter")),))
    figure = cell_drawing.cells([*cells, ("wide", wide)])
    assert overlapping(figure) == []
    for axes in figure.axes:
        for text in axes.texts:
            box = text.get_window_extent().transformed(axes.transData.inverted())
            assert box.width < cell_drawing.CARD_WIDTH - 0.04, text.get_text()


def test_saving_twice_gives_the_same_bytes(tmp_path, run_of):
    cell = next(trial.genotype for trial in run_of(3) if trial.genotype)
    first = Plot("first", cell_drawing.cells([("a", cell)])).save(tmp_path)
    second = Plot("second", cell_drawing.cells([("a", cell)])).save(tmp_path)
    assert [path.name for path in first] == ["first.png", "first.svg"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_a_figure_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        Plot("plot", Figure()).save(tmp_path / "file")
