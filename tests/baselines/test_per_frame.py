import torch

from baselines.per_frame import PerFrame


def test_it_passes_the_static_dec_of_each_frame_on_and_remembers_nothing():
    head, features = PerFrame({"dec": 64}, 11), {"dec": torch.rand(2, 64, 6, 8), "layer4": torch.rand(2, 320, 2, 2)}
    state = head.init_state({"dec": torch.rand(2, 64, 6, 8)})
    dec, after = head.step(features, state)
    assert dec is features["dec"]
    assert state == after == ()


def test_all_it_learns_is_a_classifier():
    head = PerFrame({"dec": 64}, classes=11)
    assert sum(p.numel() for p in head.parameters()) == 6_347
    assert head.classifier(torch.zeros(1, 64, 5, 7)).shape == (1, 11, 5, 7)
