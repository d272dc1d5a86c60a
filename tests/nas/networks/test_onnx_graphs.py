"""Exported graphs against PyTorch, mostly of a small static network: the exporter takes longest over the large one."""

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from baselines.fixed_points import FIXED_POINTS
from cache.static.network import StaticNetwork
from nas.networks.heads import build_head
from nas.networks.onnx_check import check, run_graphs, signature
from nas.networks.onnx_graphs import Graphs, export_graphs, why_one_size
from nas.networks.video_network import VideoNetwork
from nas.settings.errors import RunError
from searchspace.choices import Choice
from searchspace.genotype import Block, Genotype
from searchspace.space import Space

SIZE = (50, 70)  # layers of 7 x 9, 4 x 5 and 2 x 3
CLIP = [np.random.default_rng(frame).normal(size=(1, 3, *SIZE)).astype(np.float32) for frame in range(7)]
CHANNELS = {"layer2": 32, "layer3": 96, "layer4": 320, "dec": 64}
SKIP = Choice("skip")
OF_THREE = Choice("attention_propagation", (("slots", 3), ("stride", 2), ("phases", 2)))
OF_TWO = Choice("memory_attention", (("keys", 4), ("slots", 2), ("values", 8)))
CELL = Genotype(
    (
        Block(("cur.layer2", "past.dec"), (SKIP, SKIP), OF_THREE),
        Block(("cur.layer3", "past.layer4"), (SKIP, Choice("deformable_conv")), OF_TWO),
        Block(
            ("block0", "block1"),
            (Choice("separable_conv", (("dilation", 6), ("kernel", 5))), SKIP),
            Choice("affine_sampling"),
        ),
        Block(("block2", "block1"), (SKIP, Choice("global_pool")), Choice("predictive_filter")),
    )
)


class SmallStatic(nn.Module):
    """Features of the right shapes, linear in single pixels."""

    classes = 3

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleDict(
            {name: nn.Conv2d(3, channels, 1) for name, channels in CHANNELS.items() if name != "dec"}
        )
        self.decoder, self.classifier = nn.Conv2d(32, 64, 1), nn.Conv2d(64, 3, 1)

    def features(self, images, needs=("layer2", "layer3", "layer4", "dec")):
        strides = {"layer2": 8, "layer3": 16, "layer4": 32}
        layers = {name: self.layers[name](images[..., ::stride, ::stride]) for name, stride in strides.items()}
        every = layers | {"dec": self.decoder(layers["layer2"]).relu()}
        return {name: every[name] for name in needs}


TALL = [np.random.default_rng(frame).normal(size=(1, 3, 75, 44)).astype(np.float32) for frame in range(7)]


def agree(network, any_size=None):
    """Whether graphs say what the network says: over clips of two sizes, if they are for any."""
    any_size = why_one_size(network) is None if any_size is None else any_size
    graphs = export_graphs(network, SIZE, any_size)
    return all(check(graphs, network, clip) < 1e-5 for clip in ((CLIP, TALL) if any_size else (CLIP,)))


def build(genotype, static=SmallStatic, seed=0):
    """A network in eval mode in which everything does something, what starts as zero or identity among it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = VideoNetwork(static(), build_head(genotype, CHANNELS, 3, seed=1))
        for parameter in network.head.parameters():
            parameter.data += torch.randn_like(parameter) / 20
        for norm in (module for module in network.modules() if isinstance(module, nn.BatchNorm2d)):
            norm.running_mean.normal_(0, 0.1)
            norm.running_var.uniform_(0.5, 1.5)
    return network.eval()


@pytest.fixture(scope="module")
def network():
    return build(CELL)


@pytest.fixture(scope="module")
def graphs(network):
    return export_graphs(network, SIZE)


def test_a_memory_that_fills_up_frame_by_frame_says_the_same_as_in_pytorch(graphs, network):
    assert check(graphs, network, CLIP) < 1e-5


def test_the_memory_is_read(graphs):
    remembered = list(run_graphs(graphs, CLIP))
    forgotten = list(run_graphs(graphs, CLIP[3:]))
    assert np.abs(remembered[-1] - forgotten[-1]).max() > 1e-3  # of frames 0 to 2, one is in the last frame's memory


def test_graphs_are_valid_onnx_of_the_stated_opset_without_traces_of_this_machine(graphs):
    for graph in (graphs.first, graphs.later):
        model = onnx.load_from_string(graph)
        onnx.checker.check_model(model, full_check=True)
        assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18)]
        assert __file__.encode() not in graph
        assert b"site-packages" not in graph


def test_every_tensor_of_the_memory_has_a_name_and_a_shape_and_goes_out_as_it_comes_in(graphs):
    entries = {
        "block0.keys": (1, 16, 4, 5),
        "block0.values": (1, 64, 4, 5),
        "block0.queries": (1, 16, 4, 5),
        "block1.keys": (1, 4, 2, 3),
        "block1.values": (1, 8, 2, 3),
    }
    newest = {"layer4": (1, 320, 2, 3), "dec": (1, 64, 7, 9), "frame": (1,)}
    slots = {"slot0": entries, "slot1": entries, "slot2": newest}
    memory = {f"{slot}.{name}": shape for slot, held in slots.items() for name, shape in held.items()}
    first, later = (
        {
            side: {name: tuple(tensor["shape"]) for name, tensor in tensors.items()}
            for side, tensors in signature(each).items()
        }
        for each in (graphs.first, graphs.later)
    )
    assert first["inputs"] == {"images": (1, 3, *SIZE)}
    assert later["inputs"] == {"images": (1, 3, *SIZE), **memory}
    assert first["outputs"] == later["outputs"]
    assert later["outputs"] == {"logits": (1, 3, 7, 9), **{f"next.{name}": shape for name, shape in memory.items()}}
    assert signature(graphs.later)["inputs"]["slot2.frame"]["type"] == "tensor(int64)"


def test_cells_whose_local_correlation_is_cut_into_tiles_are_for_one_size():
    assert why_one_size(build(FIXED_POINTS["lmanet"])) == "local_correlation is written out for one size"
    assert [why_one_size(build(each)) for each in (None, CELL, FIXED_POINTS["tdnet"])] == [None] * 3


def test_networks_that_pool_to_a_fixed_grid_or_attend_in_windows_are_for_one_size():
    pooling, attending, whole = build(CELL), build(CELL), build(CELL)
    pooling.static.grid = nn.AdaptiveAvgPool2d(2)
    attending.static.windows = nn.Module()
    attending.static.windows.tied_to_a_size = "attention in windows"
    whole.static.mean = nn.AdaptiveAvgPool2d(1)
    assert why_one_size(pooling) == "pooling to a fixed grid is written out for one size"
    assert why_one_size(attending) == "attention in windows is written out for one size"
    assert why_one_size(whole) is None


def test_graphs_of_other_weights_are_refused(graphs):
    with pytest.raises(RunError, match=r"differ from PyTorch's by .* at frame 0; 0\.001 is allowed"):
        check(graphs, build(CELL, seed=1), CLIP)


def test_logits_that_are_no_numbers_are_refused(graphs, network):
    clip = [*CLIP[:2], np.full_like(CLIP[0], np.nan)]
    with pytest.raises(RunError, match="differ from PyTorch's by nan at frame 2"):
        check(graphs, network, clip)


def test_an_operation_that_onnxruntime_does_not_have_is_named(graphs, network):
    model = onnx.load_from_string(graphs.first)
    next(node for node in model.graph.node if node.op_type == "Conv").op_type = "Det"  # ONNX has it, of one input
    with pytest.raises(RunError, match=r"onnxruntime cannot run what was exported: .*Det"):
        check(Graphs(model.SerializeToString(), graphs.later), network, CLIP)


def test_the_operation_that_cannot_be_translated_is_named(network, monkeypatch):
    monkeypatch.setattr(network.head.classifier, "forward", torch.special.bessel_j0)
    with pytest.raises(RunError, match=r"cannot be written as ONNX: .*bessel_j0") as caught:
        export_graphs(network, SIZE)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_the_per_frame_network_has_no_memory_and_one_slot_needs_no_count():
    graphs = export_graphs(build(None), SIZE)
    assert check(graphs, build(None), CLIP) < 1e-5
    assert list(signature(graphs.later)["inputs"]) == ["images"]
    graphs = export_graphs(build(FIXED_POINTS["tmanet_t1"]), SIZE)
    assert list(signature(graphs.later)["inputs"]) == ["images", "slot0.dec"]


ELSEWHERE = {"tmanet", "lmanet"}  # compared with a whole static network in the suite, below and in test_export.py
WITH_A_CELL = [name for name, genotype in FIXED_POINTS.items() if genotype is not None]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.drill) if name in ELSEWHERE else name for name in WITH_A_CELL]
)
def test_fixed_points(name):
    network = build(FIXED_POINTS[name])
    assert agree(network)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["per_frame", "lmanet"])
def test_fixed_points_with_the_whole_static_network(name):
    network = build(FIXED_POINTS[name], static=lambda: StaticNetwork(3, auxiliary=False))
    assert agree(network)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.drill) for seed in range(1, 20))])
def test_random_cells_of_the_video_space(seed):
    network = build(Space.load("video").uniform(np.random.default_rng(seed)))
    try:
        assert agree(network)
    except RunError as error:  # as the command does, which says so and goes on with one size
        assert str(error) == "a piece of its cell is traced for one size, says the exporter"  # noqa: PT017
        assert agree(network, any_size=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("masked", "joint"), [(True, True), (True, False), (False, False)], ids=["masked", "masked, slot by slot", "slots"]
)
def test_forms_of_local_correlation_that_the_space_leaves_out(masked, joint):
    parameters = (("joint", joint), ("masked", masked), ("slots", 4), ("window", 5))
    block = Block(("cur.layer2", "past.dec"), (SKIP, SKIP), Choice("local_correlation", parameters))
    network = build(Genotype((block,)))
    assert agree(network)
