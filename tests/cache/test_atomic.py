import logging
import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from cache.atomic import atomic_path, one_builder, write_text


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_whole_and_replaces_the_one_before(tmp_path):
    path = tmp_path / "new folder" / "a.txt"
    write_text(path, "old")
    write_text(path, "Größe")
    assert path.read_bytes() == "Größe".encode()
    assert files(path.parent) == ["a.txt"]


@pytest.mark.parametrize("kind", [RuntimeError, OSError, KeyboardInterrupt])
def test_a_failure_half_way_leaves_the_old_file_and_nothing_else(tmp_path, kind):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write_half():
        with atomic_path(path) as temporary:
            temporary.write_text("half of the n")
            raise kind("now")

    with pytest.raises(kind, match="now"):
        write_half()
    assert path.read_text() == "old"
    assert files(tmp_path) == ["a.txt"]


def test_readers_see_the_old_file_until_the_block_ends(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_a_folder_that_cannot_be_made_is_an_os_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        write_text(tmp_path / "file" / "a.txt", "text")


FORK = multiprocessing.get_context("fork")


def build_slowly(folder, go):
    with one_builder(folder / "a.h5"):
        (folder / "started").touch()
        go.wait(10)
        (folder / "finished").touch()


def test_the_second_builder_waits_for_the_first_and_says_so(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    go = FORK.Event()
    first = FORK.Process(target=build_slowly, args=(tmp_path, go))
    first.start()
    while not (tmp_path / "started").exists():
        assert first.is_alive()

    def let_go():
        while not caplog.records:
            assert first.is_alive()
        assert not (tmp_path / "finished").exists()
        go.set()

    with ThreadPoolExecutor() as threads:
        letting_go = threads.submit(let_go)
        with one_builder(tmp_path / "a.h5"):
            assert (tmp_path / "finished").exists()
        letting_go.result()
    assert caplog.messages == [f"another process is building {tmp_path / 'a.h5'}; waiting for it"]


def die_while_building(path):
    with one_builder(path), atomic_path(path) as temporary:
        temporary.write_text("half")
        os._exit(9)


def test_a_builder_that_dies_gives_up_the_lock_and_the_next_one_clears_its_leftovers(tmp_path):
    path = tmp_path / "features.h5"
    process = FORK.Process(target=die_while_building, args=(path,))
    process.start()
    process.join(10)
    assert process.exitcode == 9
    assert f".features.h5.{process.pid}.tmp" in files(tmp_path)
    (tmp_path / ".other.h5.1.tmp").touch()
    with one_builder(path):
        assert files(tmp_path) == [".other.h5.1.tmp", "features.h5.lock"]
