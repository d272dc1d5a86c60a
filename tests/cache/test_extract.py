import functools
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from cache.datasets.camvid import CamVid
from cache.datasets.clips import VOID, Frame
from cache.errors import DataError
from cache.extract import ensure_features, features_spec
from cache.features import FeatureCache
from cache.frames import network_input
from cache.static.network import StaticNetwork

SIZE = (44, 60)  # not the clips' own size, and odd at every stride
CAMVID = Path(__file__).parents[2] / "../shared/data/camvid"


class Clips:
    """Ten frames of noise in `train` (the fourth without a label) and two in `val`."""

    name, classes, colours, size = "clips", ("a", "b", "c"), ((0, 0, 0),) * 3, (50, 70)

    def __init__(self, version="1"):
        self.version = version
        self.images_read = 0

    def frames(self, split):
        count = {"train": 10, "val": 2, "test": 0}[split]
        return tuple(Frame(f"{split}{i}", split, i, labelled=i != 3) for i in range(count))

    def image(self, frame):
        self.images_read += 1
        return np.random.default_rng([frame.number, len(frame.sequence)]).integers(0, 255, (*self.size, 3), np.uint8)

    def label(self, frame):
        assert frame.labelled
        return np.random.default_rng(frame.number).integers(0, 3, self.size, np.uint8)

    def fingerprint(self, split):
        return f"{split}{self.version}"


def frozen(seed=0):
    """A network with random weights whose batch norms know their inputs, so that its features are of order 1."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        network = StaticNetwork(3, auxiliary=False)
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = 1.0
        network(torch.randn(8, 3, *SIZE))
        return network.freeze()


NETWORK = frozen()


def ensure(folder, dataset=None, network=NETWORK, splits=("train", "val"), size=SIZE, **options):
    return ensure_features(dataset or Clips(), splits, network, size=size, directory=folder, **options)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return ensure(tmp_path_factory.mktemp("features"))


@pytest.fixture
def cache(built, tmp_path):
    path = tmp_path / built.path.name
    path.write_bytes(built.path.read_bytes())
    return FeatureCache.open(path, built.fingerprint)


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, "cache")
    return lambda: [record.getMessage() for record in caplog.records]


def test_rows_are_the_frames_of_the_splits_one_after_another(built):
    assert built.names == (*[f"train{i}" for i in range(10)], "val0", "val1")
    assert built.path.name == f"clips-44x60-{built.fingerprint[:12]}.h5"


def test_features_are_what_the_network_makes_of_each_frame_alone(built):
    frames = [*Clips().frames("train"), *Clips().frames("val")]
    for i, frame in enumerate(frames):
        image = network_input([Clips().image(frame)], SIZE, "cpu")
        with torch.inference_mode():
            expected = NETWORK.features(image)
        for name, tensor in expected.items():
            torch.testing.assert_close(built.tensor(name)[i].float(), tensor[0], rtol=2e-3, atol=1e-4)


def test_features_of_halved_frames_are_kept_where_they_are_asked_for_and_leave_the_others_as_they_are(built, tmp_path):
    names = ("low.layer2", "low.layer4")
    made = ensure(tmp_path, low=names)
    assert made.fingerprint != built.fingerprint
    assert set(made.arrays) == {*built.arrays, *names}
    for name in built.arrays:
        np.testing.assert_array_equal(made.arrays[name], built.arrays[name])
    image = network_input([Clips().image(Clips().frames("train")[2])], SIZE, "cpu")
    with torch.inference_mode():
        for name, tensor in NETWORK.features(image, names).items():
            torch.testing.assert_close(made.tensor(name)[2].float(), tensor[0], rtol=2e-3, atol=1e-4)


def test_the_fingerprint_of_features_of_whole_frames_is_what_it_was_before_there_were_others():
    spec = features_spec(Clips(), ("train",), NETWORK, SIZE, "float32")
    assert list(spec) == ["data set", "frames", "network", "size", "precision"]


def test_labels_are_sampled_from_the_full_label_at_the_working_size_and_at_the_size_of_layer2(built):
    label = Clips().label(Clips().frames("val")[1])
    for name, (height, width) in {"label": SIZE, "label8": (6, 8)}.items():
        rows = ((np.arange(height) + 0.5) * 50 / height).astype(int)
        columns = ((np.arange(width) + 0.5) * 70 / width).astype(int)
        np.testing.assert_array_equal(built.arrays[name][-1], label[np.ix_(rows, columns)])


def test_a_frame_without_a_label_is_void_everywhere(built):
    assert (built.arrays["label"][3] == VOID).all()
    assert (built.arrays["label8"][3] == VOID).all()
    assert (built.arrays["label"][4] < 3).all()


def test_features_that_are_there_are_used_without_a_word(cache, lines):
    dataset = Clips()
    again = ensure(cache.path.parent, dataset)
    assert again.fingerprint == cache.fingerprint
    assert dataset.images_read == 0
    assert lines() == []


def test_features_in_a_folder_without_write_permission_are_used(cache):
    cache.path.parent.chmod(0o500)
    try:
        assert ensure(cache.path.parent).names == cache.names
        assert [*cache.path.parent.iterdir()] == [cache.path]
    finally:
        cache.path.parent.chmod(0o700)


def flip_a_byte(content):
    content[len(content) // 2] ^= 1


def cut(content):
    del content[-1000:]


@pytest.mark.parametrize(("damage", "reason"), [(flip_a_byte, "its checksum is wrong"), (cut, "it was cut off")])
def test_a_damaged_file_is_made_again_after_a_line_that_says_why(cache, lines, damage, reason):
    good = cache.path.read_bytes()
    content = bytearray(good)
    damage(content)
    cache.path.write_bytes(content)
    ensure(cache.path.parent)
    assert reason in lines()[0]
    assert "made the features of 12 frames" in lines()[1]
    assert len(lines()) == 2
    assert cache.path.read_bytes() == good


BFLOAT16 = functools.partial(torch.autocast, "cpu", torch.bfloat16)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        pytest.param({"network": frozen(seed=1)}, "of another network", id="network"),
        pytest.param({"size": (32, 60)}, "of another size", id="size"),
        pytest.param({"dataset": Clips("2")}, "of other frames", id="a replaced image"),
        pytest.param({"splits": ("val", "train")}, "of other frames", id="another order"),
        pytest.param({"autocast": BFLOAT16}, "or precision", id="precision"),
    ],
)
def test_other_features_get_a_file_of_their_own_after_a_line_that_says_why(cache, lines, options, reason):
    before = cache.path.read_bytes()
    other = ensure(cache.path.parent, **options)
    assert lines()[0].startswith(f"making the features {other.path}: ")
    assert reason in lines()[0]
    assert other.path != cache.path
    assert cache.path.read_bytes() == before


def test_the_first_features_say_that_there_are_none(tmp_path, lines):
    ensure(tmp_path, splits=("val",), size=(32, 32))
    assert lines()[0].endswith(".h5: there are none yet")


def test_another_networks_file_under_the_expected_name_is_refused(built, cache, lines):
    other = ensure(cache.path.parent, network=frozen(seed=1))
    cache.path.write_bytes(other.path.read_bytes())
    again = ensure(cache.path.parent)
    assert f"its fingerprint is {other.fingerprint[:12]} and not {cache.fingerprint[:12]}, so" in lines()[-2]
    np.testing.assert_array_equal(again.arrays["dec"], built.arrays["dec"])


def test_features_beyond_float16_are_refused_and_nothing_is_left(tmp_path):
    network = frozen()
    for parameter in network.decoder.parameters():
        parameter.mul_(300)
    with pytest.raises(DataError, match="dec for frame train0 holds values that float16 cannot"):
        ensure(tmp_path, network=network)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_a_failure_in_the_middle_leaves_nothing(tmp_path):
    dataset = Clips()
    dataset.label = lambda frame: np.zeros(dataset.size, np.uint8) if frame.number < 9 else 1 / 0
    with pytest.raises(ZeroDivisionError):
        ensure(tmp_path, dataset)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_a_network_in_train_mode_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"call freeze\(\)"):
        ensure(tmp_path, network=StaticNetwork(3))


def test_a_data_set_without_frames_is_refused(tmp_path):
    with pytest.raises(DataError, match="no frames in test"):
        ensure(tmp_path, splits=("test",))


def test_of_two_builders_at_once_one_builds_and_the_other_waits_and_uses_it(tmp_path, lines):
    second_waits = threading.Event()
    first, second = Clips(), Clips()
    read = first.image
    first.image = lambda frame: read(frame) if second_waits.wait(60) else None
    with ThreadPoolExecutor() as threads:
        building = threads.submit(ensure, tmp_path, first)
        wait_until(lambda: any("making the features" in line for line in lines()))
        waiting = threads.submit(ensure, tmp_path, second)
        wait_until(lambda: any("waiting for it" in line for line in lines()))
        second_waits.set()
        assert building.result(60).fingerprint == waiting.result(60).fingerprint
    assert (first.images_read, second.images_read) == (12, 0)


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
def test_camvid_at_half_resolution(tmp_path):
    if not CAMVID.is_dir():
        pytest.skip(f"CamVid is not in {CAMVID}")
    dataset = CamVid(CAMVID)
    features = ensure(tmp_path, dataset, size=(180, 240))
    shapes = {name: array.shape for name, array in features.arrays.items()}
    assert shapes == {
        "layer2": (468, 23, 30, 32),
        "layer3": (468, 12, 15, 96),
        "layer4": (468, 6, 8, 320),
        "dec": (468, 23, 30, 64),
        "label8": (468, 23, 30),
        "label": (468, 180, 240),
    }
    frame = dataset.frames("val")[-1]
    assert features.names[-1] == frame.name
    np.testing.assert_array_equal(features.arrays["label"][-1], dataset.label(frame)[1::2, 1::2])
