"""Held and streamed rows are the rows of the arrays, laid out alike, and are read ahead and no farther."""

import threading
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cache.errors import DataError
from cache.features import FeatureCache
from cache.rows import AHEAD, HeldRows, StreamedRows, ahead

FRAMES = 20
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    rng = np.random.default_rng(0)
    arrays = {
        "dec": rng.standard_normal((FRAMES, 3, 4, 8)).astype(np.float16),
        "label": rng.integers(0, 255, (FRAMES, 5, 7), np.uint8),
    }
    path = tmp_path_factory.mktemp("rows") / "features.h5"
    FeatureCache.build(path, "abc", {}, [f"frame{i}" for i in range(FRAMES)], [arrays])
    return FeatureCache.open(path, "abc")


@pytest.fixture(scope="module", params=["held", "streamed"])
def rows(request, cache):
    if request.param == "held":
        return HeldRows(cache, ("dec", "label"), home=CPU, device=CPU)
    return StreamedRows(cache, device=CPU)


positions = st.integers(0, FRAMES - 1)
windows = st.integers(1, 4).flatmap(
    lambda length: st.lists(st.lists(positions, min_size=length, max_size=length), min_size=1, max_size=6)
)


@given(windows)
def test_a_batch_holds_the_rows_asked_for_frame_by_frame(rows, cache, windows):
    wanted = torch.tensor(windows)
    batch = rows.batch({"dec": wanted, "label": wanted[:, -1:]})
    for t in range(wanted.shape[1]):
        assert batch["dec"][t].is_contiguous(memory_format=torch.channels_last)
        for n, window in enumerate(windows):
            assert torch.equal(batch["dec"][t, n], cache.tensor("dec")[window[t]])
    assert batch["label"].shape[0] == 1
    for n, window in enumerate(windows):
        assert torch.equal(batch["label"][0, n], cache.tensor("label")[window[-1]])


def test_batches_come_in_their_order(rows, cache):
    wanted = [{"label": torch.tensor([[i], [(7 * i) % FRAMES]])} for i in range(FRAMES)]
    for request, batch in zip(wanted, rows.batches(wanted), strict=True):
        assert torch.equal(batch["label"], rows.batch(request)["label"])


def test_writing_into_a_batch_changes_no_later_one(rows):
    wanted = {"dec": torch.tensor([[3, 4]])}
    before = rows.batch(wanted)["dec"].clone()
    rows.batch(wanted)["dec"].zero_()
    assert torch.equal(rows.batch(wanted)["dec"], before)


def test_a_file_cut_off_while_it_is_used_is_an_error_that_names_it(tmp_path, cache):
    copy = tmp_path / "copy.h5"
    copy.write_bytes(cache.path.read_bytes())
    rows = StreamedRows(FeatureCache.open(copy, "abc"), device=CPU)
    with copy.open("rb+") as file:
        file.truncate(600)
    with pytest.raises(DataError, match=r"copy\.h5 ends before its frame"):
        rows.batch({"dec": torch.tensor([[0, FRAMES - 1]])})


def test_reading_ahead_keeps_the_order_and_goes_no_farther_than_it_says():
    started = []

    def work(item):
        started.append(item)
        return -item

    for asked, value in enumerate(ahead(work, range(10))):
        assert value == -asked
        assert len(started) <= asked + AHEAD + 1
    assert started == list(range(10))


def test_the_next_item_is_worked_on_while_the_last_one_is_used():
    arrived = threading.Event()

    def work(item):
        if item == 1:
            arrived.set()
        return item

    assert next(ahead(work, range(5))) == 0
    assert arrived.wait(10)


def test_an_error_of_an_item_arrives_in_its_place():
    results = ahead(lambda item: 1 // item, [1, 1, 0, 1])
    assert [next(results), next(results)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_giving_up_half_way_leaves_no_thread():
    before = threading.active_count()
    results = ahead(time.sleep, [0.0] * 100)
    next(results)
    assert threading.active_count() == before + 1
    results.close()
    assert threading.active_count() == before
