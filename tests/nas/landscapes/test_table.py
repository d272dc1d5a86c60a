"""Tables of trained cells: what is written is read, by others too, and nothing else."""

import csv
import gzip
import io
import subprocess
import sys

import numpy as np
import pytest

from nas.landscapes.catalog import TABLES
from nas.landscapes.table import Row, Table, read_table, write_table
from nas.settings.errors import RunError
from searchspace.space import Space

SPACE = Space.load("video", blocks=2)
SHIPPED = sorted(TABLES.glob("*.csv.gz"))


def row(seed, **fields):
    cell = SPACE.uniform(np.random.default_rng(seed))
    values = {"strategy": "random", "search": 3, "reward": 0.1 + seed / 7, "halfway_reward": None, "seconds": 1.25}
    values |= {"seed": seed + 2**62, "epochs": 4, "metrics": {"miou": 1 / 3}, "cost": {"macs": 123_456_789.0}}
    return Row(key=cell.key, tokens=SPACE.tokens(cell), **values | fields)


ROWS = (row(0), row(1, halfway_reward=0.2, metrics={"miou": 0.5, "loss": 1e-3}), row(2, cost={}))
TABLE = Table(SPACE, ROWS, {"versions": {"torch": "2"}, "rows": {"random": 3}})


@pytest.fixture
def path(tmp_path):
    write_table(tmp_path / "cells.csv.gz", TABLE)
    return tmp_path / "cells.csv.gz"


def test_what_is_written_is_read_to_the_last_digit(path):
    assert read_table(path) == TABLE


def test_the_same_table_is_the_same_bytes(path, tmp_path):
    write_table(tmp_path / "again" / "cells.csv.gz", TABLE)
    assert (tmp_path / "again" / "cells.csv.gz").read_bytes() == path.read_bytes()


def test_any_program_reads_it(path):
    lines = list(csv.DictReader(io.StringIO(gzip.decompress(path.read_bytes()).decode())))
    assert [line["key"] for line in lines] == [each.key for each in ROWS]
    assert [line["metric miou"] for line in lines] == [str(1 / 3), "0.5", str(1 / 3)]
    assert [line["cost macs"] for line in lines] == ["123456789.0", "123456789.0", ""]
    assert [line["halfway_reward"] for line in lines] == ["", "0.2", ""]


def test_it_is_read_without_torch(path):
    code = f"import sys, pathlib, nas.landscapes.table as t; t.read_table(pathlib.Path({str(path)!r})); "
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("spoil", ["cells.csv.gz", "cells.yaml"])
def test_a_changed_file_is_refused(path, spoil):
    file = path.with_name(spoil)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(RunError, match=r"cells\.(csv\.gz|yaml)"):
        read_table(path)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_tables_that_ship_are_whole_and_name_their_cells_rightly(path):
    table = read_table(path)
    assert path.name == f"{table.facts['settings']['data']['dataset']}-{table.space.name}.csv.gz"
    assert all(table.space.genotype(row.tokens).key == row.key for row in table.rows)
    assert len({(row.key, row.seed) for row in table.rows}) == len(table.rows)
    assert sum(table.facts["rows"].values()) == len(table.rows)


def test_tables_that_ship_are_small_and_exist():
    assert 0 < sum(path.stat().st_size for path in SHIPPED) < 2e6


def test_a_missing_file_and_another_suffix_are_refused(path):
    path.with_name("cells.yaml").unlink()
    with pytest.raises(RunError, match=r"cannot be read: .*cells\.yaml: No such file"):
        read_table(path)
    with pytest.raises(RunError, match=r"is called NAME\.csv\.gz, but got .*cells\.npz"):
        write_table(path.parent / "cells.npz", TABLE)
