import json
from math import isnan

import pytest

from nas.reporting.evaluation.record import Evaluated, Row
from nas.settings.errors import RunError

CELL = Row("cell3", [{"miou": 0.5, "tc": 0.8}], [[0.4, float("nan")]], {"mean": 0.02})
FOUND = Evaluated("Networks", {"latency": "a median"}, ("sky", "car"), (1.0, 0.0), [CELL], Row("labels", [], [], {}))


def test_what_is_saved_is_read_again_and_is_plain_json(tmp_path):
    FOUND.save(tmp_path)
    text = (tmp_path / "evaluation.json").read_text()
    assert "NaN" not in text
    again = Evaluated.load(tmp_path / "evaluation.json")
    again.save(tmp_path)
    assert (tmp_path / "evaluation.json").read_text() == text
    assert isnan(again.networks[0].iou[0][1])
    assert [row.name for row in again.rows] == ["cell3", "labels"]


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"networks": [{}], "labels": None}), "\x00"])
def test_a_damaged_file_is_named(tmp_path, text):
    path = tmp_path / "evaluation.json"
    path.write_text(text)
    with pytest.raises(RunError, match=rf"{path} is damaged"):
        Evaluated.load(path)
