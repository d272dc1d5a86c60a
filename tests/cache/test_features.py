import json

import h5py
import numpy as np
import pytest
import torch

from cache.errors import DataError
from cache.features import FeatureCache
from cache.sealed import CacheMismatch

NAMES = ("0001TP_006690", "0001TP_006720", "straße/3")
SPEC = {"data set": "camvid", "size": [20, 28]}
SHAPES = {"layer2": (3, 4, 32), "layer3": (2, 2, 96), "layer4": (1, 1, 320), "dec": (3, 4, 64)}  # of a 20x28 frame


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    features = {name: rng.standard_normal((3, *shape)).astype(np.float16) for name, shape in SHAPES.items()}
    labels = {"label8": rng.integers(0, 11, (3, 3, 4), np.uint8), "label": rng.integers(0, 11, (3, 20, 28), np.uint8)}
    return features | labels


@pytest.fixture
def path(arrays, tmp_path):
    path = tmp_path / "features.h5"
    records = [{name: array[i : i + 1] for name, array in arrays.items()} for i in range(3)]
    FeatureCache.build(path, "abc", SPEC, NAMES, records)
    return path


def test_a_cache_gives_back_what_it_was_built_from(path, arrays):
    cache = FeatureCache.open(path, "abc")
    assert (cache.path, cache.fingerprint, cache.names) == (path, "abc", NAMES)
    assert cache.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(cache.arrays[name], array)


def test_feature_tensors_are_views_in_channels_last_order(path, arrays):
    cache = FeatureCache.open(path, "abc")
    for name, (height, width, channels) in SHAPES.items():
        tensor = cache.tensor(name)
        assert tensor.shape == (3, channels, height, width)
        assert tensor.dtype == torch.float16
        assert tensor.is_contiguous(memory_format=torch.channels_last)
        assert tensor.data_ptr() == cache.arrays[name].ctypes.data
        assert tensor[1, 5, 0, 0].item() == arrays[name][1, 0, 0, 5]


def test_label_tensors_keep_their_shape(path, arrays):
    cache = FeatureCache.open(path, "abc")
    assert torch.equal(cache.tensor("label"), torch.from_numpy(arrays["label"]))
    assert torch.equal(cache.tensor("label8"), torch.from_numpy(arrays["label8"]))


def test_another_fingerprint_is_refused(path):
    with pytest.raises(CacheMismatch, match="its fingerprint is abc and not def, so it is of another network"):
        FeatureCache.open(path, "def")


def test_the_file_says_what_it_was_made_of(path):
    with h5py.File(path) as contents:
        assert json.loads(contents.attrs["spec"]) == SPEC


def test_a_damaged_cache_is_refused_unless_its_bytes_are_to_be_trusted(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CacheMismatch, match="checksum"):
        FeatureCache.open(path, "abc")
    assert len(FeatureCache.open(path, "abc", verify=False).names) == 3


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_a_feature_that_float16_cannot_hold_is_refused_with_its_frame(arrays, tmp_path, value):
    arrays["dec"][1, 2, 0, 7] = value
    with pytest.raises(DataError, match=r"dec for frame 0001TP_006720 .* 65504"):
        FeatureCache.build(tmp_path / "features.h5", "abc", SPEC, NAMES, [arrays])
    assert list(tmp_path.iterdir()) == []


def test_as_many_rows_as_names_are_wanted(arrays, tmp_path):
    with pytest.raises(ValueError, match="rows"):
        FeatureCache.build(tmp_path / "features.h5", "abc", SPEC, NAMES[:2], [arrays])
    with pytest.raises(ValueError, match="4 rows together, but have 3"):
        FeatureCache.build(tmp_path / "features.h5", "abc", SPEC, (*NAMES, "fourth"), [arrays])
