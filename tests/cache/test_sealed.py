import errno
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cache import sealed
from cache.sealed import CacheMismatch, map_arrays, write_arrays

COUNT = 7
RNG = np.random.default_rng(0)
WHOLE = {
    "dec": RNG.standard_normal((COUNT, 3, 4, 5)).astype(np.float16),
    "label": RNG.integers(0, 255, (COUNT, 5, 3), np.uint8),
    "names": np.array([f"näme{i}".encode() for i in range(COUNT)]),
}
ATTRIBUTES = {"fingerprint": "abc", "spec": '{"size": [3, 4]}'}


def records(batch=3, arrays=WHOLE):
    for start in range(0, COUNT, batch):
        yield {name: array[start : start + batch] for name, array in arrays.items()}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    path = tmp_path_factory.mktemp("sealed") / "a.h5"
    write_arrays(path, ATTRIBUTES, COUNT, records())
    return path


@pytest.fixture
def copy(original, tmp_path):
    return shutil.copy(original, tmp_path / "copy.h5")


def test_what_is_written_is_read(original):
    attributes, arrays = map_arrays(original)
    assert attributes == ATTRIBUTES
    assert arrays.keys() == WHOLE.keys()
    for name, array in arrays.items():
        assert array.dtype == WHOLE[name].dtype
        np.testing.assert_array_equal(array, WHOLE[name])


def mapped_megabytes():
    fields = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["RssFile"].split()[0]) / 1024


def test_a_file_that_was_checked_is_not_held_in_memory_until_it_is_used(tmp_path):
    arrays = {"dec": np.ones((COUNT, 2**22), np.uint8)}
    write_arrays(tmp_path / "large.h5", {}, COUNT, records(arrays=arrays))
    before = mapped_megabytes()
    _, arrays = map_arrays(tmp_path / "large.h5")
    assert mapped_megabytes() < before + 4
    assert arrays["dec"].sum() == COUNT * 2**22
    assert mapped_megabytes() > before + 20


def test_other_tools_read_the_file_as_hdf5(original):
    with h5py.File(original) as contents:
        assert dict(contents.attrs) == ATTRIBUTES
        for name, array in WHOLE.items():
            assert contents[name].chunks is None
            np.testing.assert_array_equal(contents[name][()], array)


def test_the_same_arrays_in_other_batches_make_the_same_bytes(original, tmp_path):
    write_arrays(tmp_path / "b.h5", ATTRIBUTES, COUNT, records(batch=COUNT))
    assert (tmp_path / "b.h5").read_bytes() == original.read_bytes()


def test_rows_need_not_be_contiguous_in_memory(original, tmp_path):
    turned = WHOLE | {"dec": np.asfortranarray(WHOLE["dec"])}
    write_arrays(tmp_path / "b.h5", ATTRIBUTES, COUNT, records(arrays=turned))
    assert (tmp_path / "b.h5").read_bytes() == original.read_bytes()


def test_a_write_into_an_array_reaches_neither_the_file_nor_another_reader(copy):
    before = copy.read_bytes()
    _, mine = map_arrays(copy)
    _, theirs = map_arrays(copy)
    mine["dec"][:] = 0
    assert mine["dec"].max() == 0
    np.testing.assert_array_equal(theirs["dec"], WHOLE["dec"])
    assert copy.read_bytes() == before


def test_arrays_outlive_the_file_that_they_came_from(copy):
    _, arrays = map_arrays(copy)
    copy.unlink()
    np.testing.assert_array_equal(arrays["label"], WHOLE["label"])


def test_every_flipped_byte_is_noticed(copy):
    content = bytearray(copy.read_bytes())
    with copy.open("r+b", buffering=0) as file:
        for position, byte in enumerate(content):
            os.pwrite(file.fileno(), bytes([byte ^ 0x40]), position)
            with pytest.raises(CacheMismatch):
                map_arrays(copy)
            os.pwrite(file.fileno(), bytes([byte]), position)
    map_arrays(copy)


def test_every_shorter_length_is_noticed_even_without_reading_the_bytes(copy):
    for length in reversed(range(copy.stat().st_size)):
        os.truncate(copy, length)
        with pytest.raises(CacheMismatch, match=r"it has|it is empty"):
            map_arrays(copy, verify=False)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_stretch_of_other_bytes_is_noticed(original, tmp_path_factory, data):
    content = original.read_bytes()
    start = data.draw(st.integers(0, len(content)))
    other = data.draw(st.binary(min_size=1, max_size=64).filter(lambda b: content[start : start + len(b)] != b))
    path = tmp_path_factory.mktemp("changed") / "a.h5"
    path.write_bytes(content[:start] + other + content[start + len(other) :])
    with pytest.raises(CacheMismatch):
        map_arrays(path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(lambda content: b"", "it is empty", id="empty"),
        pytest.param(lambda content: b"PNG" + content[3:], "another version of dyncell", id="another kind of file"),
        pytest.param(lambda content: content[:-1], r"has 8,\d+ bytes and should have 8,\d+; it was cut off", id="cut"),
        pytest.param(lambda content: content + b"\0", "cut off or overwritten", id="longer"),
        pytest.param(lambda content: content[:-1] + b"\xff", "its checksum is wrong", id="last byte"),
    ],
)
def test_the_reason_is_one_that_a_person_understands(copy, change, reason):
    copy.write_bytes(change(copy.read_bytes()))
    with pytest.raises(CacheMismatch, match=reason):
        map_arrays(copy)


def test_an_absent_file_is_no_mismatch(tmp_path):
    with pytest.raises(FileNotFoundError):
        map_arrays(tmp_path / "none.h5")


def broken(name, array):
    return [*records()][:1] + [{**record, name: array} for record in [*records()][1:]]


@pytest.mark.parametrize(
    ("batches", "match"),
    [
        pytest.param([*records()][:2], "must have 7 rows together, but have 6", id="too few rows"),
        pytest.param([*records()] * 2, "after 7 of 7 rows", id="too many rows"),
        pytest.param(broken("dec", WHOLE["dec"][:3].astype(np.float32)), "float32", id="another dtype"),
        pytest.param(broken("dec", WHOLE["dec"][:3, 1:]), r"\(3, 2, 4, 5", id="another shape"),
        pytest.param(broken("more", WHOLE["dec"][:3]), "more", id="another array"),
    ],
)
def test_records_that_do_not_fit_are_refused_and_leave_nothing(tmp_path, batches, match):
    with pytest.raises(ValueError, match=match):
        write_arrays(tmp_path / "b.h5", ATTRIBUTES, COUNT, iter(batches))
    assert list(tmp_path.iterdir()) == []


def test_a_disk_too_small_is_known_before_the_second_batch_is_made(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    batches = records()
    with pytest.raises(OSError, match="make room or choose another folder") as failure:
        write_arrays(tmp_path / "b.h5", ATTRIBUTES, COUNT, batches)
    assert failure.value.errno == errno.ENOSPC
    assert len([*batches]) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_at_any_write_leaves_the_old_file_and_nothing_else(copy, monkeypatch):
    before, write, left = copy.read_bytes(), sealed._write, [None] * 1000

    def limited(*arguments):
        if not left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left.pop()
        write(*arguments)

    monkeypatch.setattr(sealed, "_write", limited)
    write_arrays(copy, ATTRIBUTES, COUNT, records())
    writes = 1000 - len(left)
    assert writes > 3 * len(WHOLE)  # three batches, and what HDF5 lays out
    for allowed in range(writes):
        left[:] = [None] * allowed
        with pytest.raises(OSError, match=r"No space left.*copy\.h5"):
            write_arrays(copy, ATTRIBUTES | {"spec": "new"}, COUNT, records())
        assert copy.read_bytes() == before
        assert list(copy.parent.iterdir()) == [copy]


def test_a_file_size_limit_of_the_system_is_a_plain_os_error(tmp_path):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"File too large.*b\.h5"):
            write_arrays(tmp_path / "b.h5", ATTRIBUTES, COUNT, records())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_files_larger_than_the_memory_can_be_mapped(tmp_path):
    path = tmp_path / "huge.h5"  # a hole: it takes no room on the disk
    pages = os.sysconf("SC_PHYS_PAGES") * 2
    row = np.zeros((1, os.sysconf("SC_PAGE_SIZE")), np.uint8)
    metadata, _ = sealed._lay_out(ATTRIBUTES, pages, {"dec": row})
    with path.open("wb+") as file:
        metadata.copy_to(file)
        sealed._write(file, 0, sealed._seal(metadata.size, b""))
    _, arrays = map_arrays(path, verify=False)
    arrays["dec"][-1, -1] = 5
    assert arrays["dec"].shape == (pages, row.shape[1])
    assert arrays["dec"][-1].sum() == 5
