"""Checks on what candidates are trained and scored on."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from cache.datasets.census import Census
from cache.datasets.clips import Frame, meta_split
from cache.datasets.moving_stills import MovingStills
from cache.errors import DataError
from nas.settings.config import CandidateConfig, DataConfig, PretrainConfig, SearchConfig, StaticConfig
from nas.settings.errors import RunError
from nas.training.candidates.windows import meta_windows
from nas.training.static.ensure import training_frames

LABELS_ALONE = CandidateConfig(dec_weight=0, logit_weight=0, label_weight=1)


class Filmed:
    """A data set of one clip of `length` frames, of which every `every`-th is labelled."""

    name, classes = "filmed", ("a", "b", "c")

    def __init__(self, length=60, every=5):
        self.all = tuple(Frame(f"{i}", "clip", i, labelled=i % every == every - 1) for i in range(length))

    def frames(self, split):
        return self.all


def census_of(frames):
    """Two pixels of each class on every labelled frame."""
    pixels = np.array([[2, 2, 2, 0] if frame.labelled else [0] * 4 for frame in frames])
    return Census("train", frames, pixels, turned=0)


def sides(filmed, candidate=None, dataset=None, **data):
    config = SearchConfig(data=DataConfig(window=4, meta_val=0.2, **data), candidate=candidate or CandidateConfig())
    dataset = dataset or filmed
    return meta_windows(dataset, filmed, census_of(dataset.frames("train")), config)


def test_every_window_teaches_where_candidates_imitate_and_labelled_ones_alone_where_they_do_not():
    dataset = Filmed()
    train, _ = meta_split(dataset.all, 0.2)
    every, labelled = sides(dataset)[0], sides(dataset, LABELS_ALONE)[0]
    assert every == tuple(tuple(range(i, i + 4)) for i in range(len(train) - 3))
    assert labelled == tuple(window for window in every if dataset.all[window[-1]].labelled)


def test_gaps_are_multiples_of_the_clips_own_and_make_windows_each():
    one, two, both = (sides(Filmed(), gaps=gaps)[0] for gaps in ((1,), (3,), (1, 3)))
    assert {b - a for window in two for a, b in pairwise(window)} == {3}
    assert {len(window) for window in both} == {4}
    assert both == one + two


def test_clips_that_are_scored_are_stretches_of_meta_val_up_to_their_last_label():
    dataset = Filmed(length=63)  # meta-val is 50 to 62, the last labels are at 54 and 59
    assert sides(dataset)[1] == (tuple(range(50, 60)),)
    assert sides(dataset, gaps=(2,))[1] == sides(dataset)[1]


@pytest.mark.parametrize("every", [1, 3, 6])
@pytest.mark.parametrize("beside", [True, False])
def test_no_still_is_scored_that_a_static_network_of_meta_train_has_learnt(every, beside):
    filmed = Filmed(every=every)
    moved = MovingStills(filmed, 4, beside)
    train, val = sides(filmed, dataset=moved)
    config = PretrainConfig(data=DataConfig(meta_val=0.2), static=StaticConfig(train_on="meta-train"))
    learnt, frames = set(training_frames(config, filmed)), moved.frames("train")
    of_train, of_val = ({frames[i].still or frames[i] for each in side for i in each} for side in (train, val))
    assert of_train <= learnt
    assert of_val
    assert not of_val & learnt


def test_a_side_without_anything_is_refused():
    with pytest.raises(DataError, match="the meta-val part holds no class at all"):
        sides(Filmed(every=47))
    with pytest.raises(DataError, match="meta-train part of filmed has no window"):
        sides(Filmed(every=50), LABELS_ALONE, gaps=(20,))


def test_a_window_reaches_over_its_widest_gap():
    assert DataConfig().reach(5) == 5
    assert DataConfig(gaps=(3, 1)).reach(5) == len(range(0, 13))


@pytest.mark.parametrize("gaps", [(), (0,), (1, -2), (1, 1)])
def test_gaps_that_cannot_be_are_refused(gaps):
    with pytest.raises(RunError, match="gaps must"):
        DataConfig(gaps=gaps)


def test_a_key_frame_on_every_frame_is_no_memory_and_is_refused():
    assert replace(DataConfig(), refresh=10).refresh == 10
    with pytest.raises(RunError, match="refresh must"):
        DataConfig(refresh=1)
