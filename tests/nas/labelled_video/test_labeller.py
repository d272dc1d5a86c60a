import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from baselines.fixed_points import FIXED_POINTS
from cache.errors import DataError
from cache.images import IMAGENET_MEAN, IMAGENET_STD, resize_image
from cache.static.network import StaticNetwork, save_checkpoint
from cache.tensor_files import save_tensors
from nas.labelled_video.labeller import Labeller, working_size
from nas.networks.heads import build_head
from nas.networks.loading import load_network
from nas.networks.video_network import VideoNetwork, save_video_network
from nas.settings.compute import Compute
from nas.settings.errors import NonFiniteError

CPU = Compute(torch.device("cpu"), None)
CLIP = list(np.random.default_rng(0).integers(0, 256, (4, 41, 67, 3), np.uint8))


def static_network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = StaticNetwork(5, auxiliary=False).train()
        for _ in range(3):
            network(torch.randn(2, 3, 64, 96))  # batch statistics that are not the initial ones
        return network.eval()


def video_network(name):
    static = static_network()
    return VideoNetwork(static, build_head(FIXED_POINTS[name], static.channels, 5, seed=1)).eval()


def prepared(image, size):
    pixels = torch.from_numpy(resize_image(image, size)).permute(2, 0, 1)[None].double() / 255
    return ((pixels - torch.tensor(IMAGENET_MEAN)[:, None, None]) / torch.tensor(IMAGENET_STD)[:, None, None]).float()


def label_of(logits, image):
    return functional.interpolate(logits, image.shape[:2], mode="bilinear").argmax(1)[0].numpy()


@pytest.mark.parametrize("name", ["per_frame", "tmanet", "tdnet"])
@torch.inference_mode()
def test_streaming_is_the_network_run_by_hand(name):
    network, size = video_network(name), (32, 48)
    label = Labeller(network, size, CPU)
    logits, state = network.first(prepared(CLIP[0], size))
    streamed = [label(image) for image in CLIP]
    for index, image in enumerate(CLIP):
        if index:
            logits, state = network.later(prepared(image, size), state)
        assert (streamed[index] == label_of(logits, image)).mean() > 0.999  # but for ties of rounding
        assert streamed[index].dtype == np.uint8


def test_key_frames_are_the_static_networks():
    network, size = video_network("tmanet"), (32, 48)
    network.refresh = 2
    label = Labeller(network, size, CPU)
    static = [network.static(prepared(image, size)) for image in CLIP]
    agree = [
        (label(image) == label_of(logits.detach(), image)).mean() for image, logits in zip(CLIP, static, strict=True)
    ]
    assert all(each > 0.999 for each in agree[::2])
    assert all(each < 0.999 for each in agree[1::2])


@pytest.mark.parametrize("weight", [torch.nan, torch.inf])
def test_there_is_no_label_of_logits_that_are_no_numbers(weight):
    network = video_network("per_frame")
    network.static.classifier.bias.data[1] = weight
    with pytest.raises(NonFiniteError, match="logits are infinite or not numbers"):
        Labeller(network, (32, 48), CPU)(CLIP[0])


@pytest.mark.parametrize(
    "facts",
    [
        {"classes": ["a", "b"]},
        {"classes": "abcde"},
        {"classes": ["a", "b", "c", "d", "two\nlines"]},
        {"colours": [[0, 0, 0]] * 4},
        {"colours": [[0, 0, 256]] * 5},
        {"size": [32]},
        {"size": [32, 10**9]},
        {"size": [32, -1]},
        {"size": 32},
    ],
    ids=str,
)
def test_facts_that_do_not_fit_a_network_are_refused(tmp_path, facts):
    save_video_network(tmp_path / "n.pt", video_network("per_frame"), facts)
    with pytest.raises(DataError, match=r"n\.pt is damaged: it does not say what its 5 classes or its size are"):
        load_network(tmp_path / "n.pt")


def test_the_past_matters_and_a_new_labeller_has_none():
    network = video_network("tmanet")
    alone = Labeller(network, (32, 48), CPU)(CLIP[1])
    label = Labeller(network, (32, 48), CPU)
    label(CLIP[0])
    assert (label(CLIP[1]) != alone).any()
    np.testing.assert_array_equal(Labeller(network, (32, 48), CPU)(CLIP[1]), alone)


@torch.inference_mode()
def test_a_static_checkpoint_segments_each_frame_alone(tmp_path):
    static = static_network()
    save_checkpoint(tmp_path / "static.pt", static, {"size": [32, 48]})
    network, meta = load_network(tmp_path / "static.pt")
    assert meta["classes"] == ["class 0", "class 1", "class 2", "class 3", "class 4"]
    assert len(set(meta["colours"])) == 5
    label = Labeller(network, (32, 48), CPU)
    for image in CLIP:
        expected = label_of(static(prepared(image, (32, 48))), image)
        assert (label(image) == expected).mean() > 0.999


def test_a_video_network_brings_its_own_names_and_colours(tmp_path):
    facts = {"classes": list("abcde"), "colours": [[index] * 3 for index in range(5)], "size": [32, 48]}
    save_video_network(tmp_path / "network.pt", video_network("tmanet"), facts)
    network, meta = load_network(tmp_path / "network.pt")
    assert meta == {**facts, "refresh": 0}
    assert not network.training
    assert network.head.genotype == FIXED_POINTS["tmanet"].canonical()


def test_a_file_of_something_else_is_refused(tmp_path):
    save_tensors(tmp_path / "a.pt", {"format": "something else"})
    with pytest.raises(DataError, match=r"a\.pt is not a video network"):
        load_network(tmp_path / "a.pt")
    with pytest.raises(DataError, match=r"there is no file .*b\.pt"):
        load_network(tmp_path / "b.pt")


@pytest.mark.parametrize(
    ("frame", "scale", "expected"),
    [
        ((360, 480), None, (180, 240)),
        ((1024, 2048), None, (180, 360)),
        ((1920, 1080), None, (320, 180)),
        ((90, 120), None, (180, 240)),
        ((1024, 2048), 0.25, (256, 512)),
        ((361, 481), 1.0, (361, 481)),
    ],
    ids=["half", "wide", "upright", "smaller", "a quarter", "own size"],
)
def test_the_working_size_keeps_the_shape_and_the_shorter_side_of_training(frame, scale, expected):
    assert working_size(frame, {"size": [180, 240]}, scale) == expected


def test_without_a_trained_size_frames_keep_theirs():
    assert working_size((37, 51), {}, None) == (37, 51)


@pytest.fixture(scope="module")
def cell():
    return video_network("lmanet")


@settings(max_examples=15)
@given(height=st.integers(1, 70), width=st.integers(1, 70))
def test_frames_of_any_resolution_get_labels_of_it(cell, height, width):
    images = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), np.uint8)
    label = Labeller(cell, (height, width), CPU)
    for image in images:
        assert label(image).shape == (height, width)


def test_after_a_cut_a_labeller_that_looks_for_it_begins_anew():
    network, before, after = video_network("tmanet"), CLIP[0], CLIP[1]  # of noise, so that they are two scenes
    label, unaware = Labeller(network, (32, 48), CPU, cuts=True), Labeller(network, (32, 48), CPU)
    alone = Labeller(network, (32, 48), CPU)
    for image in (before, before):
        np.testing.assert_array_equal(label(image), unaware(image))
    assert label.cuts == 0
    first, second = label(after), label(after)
    np.testing.assert_array_equal(first, alone(after))
    np.testing.assert_array_equal(second, alone(after))
    assert (first != unaware(after)).any()
    assert label.cuts == 1
