import torch
from torch import nn

from baselines.hold import Hold
from cache.static.network import StaticNetwork
from nas.evaluation.network_cost import count_costs
from nas.networks.heads import build_head
from nas.networks.key_frames import Stream
from nas.networks.video_network import VideoNetwork, held


def test_it_repeats_what_the_key_frame_was_until_the_next():
    head, key = Hold(nn.Conv2d(8, 3, 3, padding=1)), {"dec": torch.rand(2, 8, 6, 8)}
    state = head.init_state(key)
    for _ in range(3):
        dec, state = head.step({}, state)
        assert torch.equal(dec, key["dec"])


def test_held_answers_are_the_per_frame_networks_on_key_frames_and_cost_a_classifier():
    static = StaticNetwork(3).eval()
    network = VideoNetwork(static, build_head(None, static.channels, 3, seed=0), refresh=3).eval()
    frames = torch.rand(7, 1, 3, 32, 48)
    with torch.no_grad():
        stream = Stream(held(network))
        answers = [stream(frame) for frame in frames]
        for place, answer in enumerate(answers):
            assert torch.equal(answer, static(frames[place - place % 3]))
    costs = count_costs(held(network), (32, 48))
    assert costs["macs_later"] == 9 * 64 * 3 * 4 * 6  # a 3x3 convolution to 3 classes on the grid of an eighth
    assert costs["macs_first"] == count_costs(network, (32, 48))["macs_first"]
