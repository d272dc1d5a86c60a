import pytest
from matplotlib.figure import Figure

from nas.reporting.search import cell_drawing, figures
from nas.reporting.search.curves import reward_curve, sampled_shares
from nas.reporting.style import save
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
    assert figures.short(label) == caption


def test_the_reward_plot_draws_the_curve_it_is_given(run_of):
    trials = run_of(48, fixed_points=("per_frame", "tmanet"))
    curve = reward_curve(trials)
    axes = figures.rewards(curve, [t for t in trials if t.fixed_point]).axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    assert tuple(lines["best so far"].get_ydata()) == curve.best
    assert tuple(lines["mean of the latest 20"].get_ydata()) == curve.mean
    assert tuple(lines[f"failed ({len(curve.failed)})"].get_xdata()) == curve.failed
    assert {"per_frame (0.553)", "tmanet (0.553)"} <= lines.keys()
    assert sum(len(points.get_offsets()) for points in axes.collections) == len(curve.trials)


def test_a_name_with_dollar_signs_is_a_name(run_of, tmp_path):
    trial = Trial(fixed_point="$\\frac$ <script>", status="finished", reward=0.5)
    save(figures.rewards(reward_curve(run_of(8)), [trial]), tmp_path / "rewards")
    assert "<script>" not in (tmp_path / "rewards.svg").read_text()


def test_the_sampling_plot_draws_a_line_for_each_choice(run_of):
    panels = [sampled_shares(run_of(48), kind, PAPER) for kind in ("operation", "aggregation", "input")]
    figure = figures.samples(panels)
    for axes, panel in zip(figure.axes, panels, strict=True):
        drawn = [tuple(line.get_ydata()) for line in axes.lines[: len(panel.shares)]]
        assert drawn == list(panel.shares.values())
        styles = {(line.get_color(), line.get_marker()) for line in axes.lines[: len(drawn)]}
        assert len(styles) == len(drawn)


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
    first = save(cell_drawing.cells([("a", cell)]), tmp_path / "first")
    second = save(cell_drawing.cells([("a", cell)]), tmp_path / "second")
    assert [path.name for path in first] == ["first.png", "first.svg"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_a_figure_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        save(Figure(), tmp_path / "file" / "plot")
