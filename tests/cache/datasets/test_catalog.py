import numpy as np
import pytest

from cache.datasets.camvid import CamVid
from cache.datasets.catalog import open_dataset
from cache.datasets.shapes import Shapes
from cache.errors import DataError


@pytest.fixture
def camvid(tmp_path, put, picture):
    put(tmp_path / "camvid/train/0001TP_006690.png", picture())
    put(tmp_path / "camvid/trainannot/0001TP_006690.png", np.zeros((6, 8)))
    return tmp_path / "camvid"


def test_an_unknown_name_is_answered_with_the_list():
    with pytest.raises(DataError, match="no data set 'kitti'; choose one of camvid, cityscapes, folder, shapes"):
        open_dataset("kitti", None)


def test_shapes_needs_no_folder():
    assert isinstance(open_dataset("shapes", None), Shapes)


def test_the_root_may_be_the_data_or_hold_it_under_its_name(camvid):
    for root in (camvid, camvid.parent):
        assert open_dataset("camvid", root).frames("train")[0].name == "0001TP_006690"


def test_without_a_root_the_environment_is_asked(camvid, monkeypatch):
    monkeypatch.setenv("DYNCELL_DATA", str(camvid.parent))
    assert isinstance(open_dataset("camvid", None), CamVid)
    monkeypatch.delenv("DYNCELL_DATA")
    with pytest.raises(DataError, match=r"camvid needs its folder; name it with --data-root or \$DYNCELL_DATA"):
        open_dataset("camvid", None)


@pytest.mark.parametrize("name", ["camvid", "cityscapes", "folder"])
def test_a_wrong_root_is_named(name, tmp_path):
    with pytest.raises(DataError, match=str(tmp_path / "nowhere")):
        open_dataset(name, tmp_path / "nowhere")
