from baselines.lean import lean
from cache.static.network import StaticNetwork
from nas.evaluation.network_cost import count_costs
from nas.networks.heads import build_head
from nas.networks.video_network import VideoNetwork
from searchspace.space import Space


def test_it_can_be_found_in_its_space():
    space = Space.load("lean")
    assert space.genotype(space.tokens(lean())) == lean()


def test_it_runs_the_encoder_no_deeper_than_layer2_and_costs_less_than_half():
    static = StaticNetwork(11).eval()
    network = VideoNetwork(static, build_head(lean(), static.channels, 11, seed=0), Space.load("lean").refresh)
    assert network.head.needs == {"layer2"}
    for size in ((180, 240), (360, 480), (1024, 2048)):
        assert count_costs(network, size)["relative_macs"] < 0.45
