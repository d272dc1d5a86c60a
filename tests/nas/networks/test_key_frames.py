"""Key frames: where they fall, and that streams, labels and graphs have them there."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cache.errors import DataError
from cache.static.encoders import FIRST
from cache.static.network import StaticNetwork
from nas.networks.heads import build_head
from nas.networks.key_frames import Stream, is_key_frame
from nas.networks.onnx_check import check
from nas.networks.onnx_graphs import export_graphs
from nas.networks.video_network import VideoNetwork, load_video_network, save_video_network
from searchspace.choices import Choice
from searchspace.genotype import Block, Genotype

SIZE = (34, 50)
SKIP = Choice("skip")
ATTENTION = Choice("memory_attention", (("slots", 2),))
CELLS = {
    "per frame": None,
    "whole": Genotype((Block(("cur.layer2", "past.dec"), (SKIP, SKIP), ATTENTION),)),
    "lean": Genotype((Block(("low.layer3", "past.dec"), (SKIP, SKIP), Choice("concat")),)),
    "halved alone": Genotype((Block(("low.layer2", "low.layer4"), (SKIP, SKIP), Choice("concat")),)),
    "key": Genotype((Block(("low.layer2", "key.dec"), (SKIP, SKIP), ATTENTION),)),
}
CLIP = [torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(frame)) for frame in range(7)]


def network(name, refresh=0, encoder=FIRST):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        static = StaticNetwork(3, auxiliary=False, encoder=encoder)
    return VideoNetwork(static, build_head(CELLS[name], static.channels, 3, seed=1), refresh).eval()


@given(place=st.integers(0, 200), refresh=st.integers(2, 50))
def test_key_frames_are_the_first_and_every_so_many_after_it(place, refresh):
    assert is_key_frame(place, refresh) == (place in range(0, 201, refresh))
    assert is_key_frame(place, 0) == (place == 0)


@pytest.mark.parametrize("name", CELLS)
@torch.inference_mode()
def test_a_stream_is_first_and_later_called_by_hand(name):
    made = network(name, refresh=3)
    stream = Stream(made)
    for start, stop in ((0, 3), (3, 6), (6, 7)):
        expected, state = made.first(CLIP[start])
        assert torch.equal(stream(CLIP[start]), expected)
        for images in CLIP[start + 1 : stop]:
            expected, state = made.later(images, state)
            assert torch.equal(stream(images), expected)


@torch.inference_mode()
def test_a_stream_counts_anew_from_a_restart():
    made = network("lean", refresh=3)
    stream, other = Stream(made), Stream(made)
    for images in CLIP[:2]:
        stream(images)
    stream.restart()
    assert all(torch.equal(stream(images), other(images)) for images in CLIP[2:])


@torch.inference_mode()
def test_a_cell_that_reads_no_whole_frame_leaves_the_encoder_of_whole_frames_alone():
    made, sizes = network("lean", refresh=3), []
    made.static.encoder.register_forward_hook(lambda module, args, out: sizes.append(tuple(args[0].shape[-2:])))
    stream = Stream(made)
    for images in CLIP[:4]:
        stream(images)
    assert sizes == [SIZE, (17, 25), (17, 25), SIZE]


def test_a_file_keeps_how_often_its_network_has_a_key_frame(tmp_path):
    save_video_network(tmp_path / "network.pt", network("lean", refresh=7), {"name": "lean"})
    again, meta = load_video_network(tmp_path / "network.pt")
    assert (again.refresh, meta["refresh"]) == (7, 7)


@pytest.mark.parametrize("refresh", [1, -3])
def test_a_file_of_an_impossible_refresh_is_refused(tmp_path, refresh):
    save_video_network(tmp_path / "network.pt", network("lean", refresh), {})
    with pytest.raises(DataError, match=f"its refresh is {refresh}"):
        load_video_network(tmp_path / "network.pt")


@torch.no_grad()
def test_frames_of_one_pixel_cannot_be_halved():
    made = network("lean")
    image = torch.zeros(1, 3, 1, 40)
    _, state = made.first(image)
    with pytest.raises(DataError, match="frames of 1x40 cannot be halved"):
        made.later(image, state)


@pytest.mark.slow
def test_graphs_of_a_cell_that_reads_key_frames_agree_with_pytorch(small_encoder):
    made = network("key", refresh=3, encoder=small_encoder)
    assert check(export_graphs(made, SIZE), made, [images.numpy() for images in CLIP]) < 1e-5


@pytest.mark.slow
def test_graphs_of_a_cell_that_reads_halved_frames_take_frames_of_any_size():
    made = network("halved alone", refresh=3)
    graphs = export_graphs(made, SIZE, any_size=True)
    for size in (SIZE, (35, 61), (68, 47), (64, 96)):  # halves that round up, grids that do not fit into each other
        clip = [torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(frame)) for frame in range(4)]
        assert check(graphs, made, [images.numpy() for images in clip]) < 1e-4
