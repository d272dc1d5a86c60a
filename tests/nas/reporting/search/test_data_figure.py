from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cache.datasets.clips import VOID
from cache.datasets.shapes import Shapes
from nas.reporting.search.data_figure import data_plot


def test_the_data_are_frames_above_their_labels_and_shares_of_what_is_labelled():
    dataset = Shapes()
    size, rng = (16, 24), np.random.default_rng(0)
    frames = len(dataset.frames("train"))
    label8 = torch.from_numpy(rng.choice([0, 1, 3, VOID], (frames + 2, 2, 3)).astype(np.uint8))
    tensors = {"label": torch.zeros(frames + 2, *size, dtype=torch.uint8), "label8": label8}
    prepared = SimpleNamespace(
        dataset=dataset,
        size=size,
        features=SimpleNamespace(tensor=tensors.__getitem__),
        evaluator=SimpleNamespace(val_clips=tuple((place, place + 1) for place in range(9))),
    )
    plot = data_plot(prepared)
    assert [axes.get_ylabel() for axes in plot.figure.axes] == ["frame", "", "", "", "label", "", "", ""]
    counted = label8[:frames][label8[:frames] != VOID]
    for place, (name, share) in enumerate(plot.rows[1:]):
        assert name == dataset.classes[place]
        assert share == pytest.approx(float((counted == place).double().mean()))
    legend = [text.get_text() for text in plot.figure.legends[0].texts]
    assert legend[-1] == "no label"
    assert legend[0] == f"background {plot.rows[1][1]:.1%}"
