import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  (the usual name)

from baselines.etc_distillation import (
    CLIP,
    HIDDEN,
    MultiFrame,
    Outputs,
    TemporalTerms,
    TermWeights,
    pair_frame_term,
    pixel_divergence,
    similarity,
    single_frame_term,
    temporal_loss,
    temporal_term,
    visibility,
)
from baselines.warping import in_frame

NAMES = ("temporal", "single_frame", "pair_frame", "multi_frame")
FRAMES, BATCH, CLASSES, SIZE, STRIDE = 3, 2, 4, (5, 6), 8


def outputs(seed, channels=7, requires_grad=False):
    generator = torch.Generator().manual_seed(seed)
    draw = partial(torch.randn, generator=generator, requires_grad=requires_grad)
    return Outputs(
        [draw(BATCH, CLASSES, *SIZE) for _ in range(FRAMES)], [draw(BATCH, channels, *SIZE) for _ in range(FRAMES)]
    )


def window(seed=0):
    generator = torch.Generator().manual_seed(seed)
    full = [side * STRIDE for side in SIZE]
    images = torch.randn(FRAMES, BATCH, 3, *full, generator=generator)
    return images, 2 * torch.randn(FRAMES - 1, BATCH, 2, *full, generator=generator)


def only(name):
    return TermWeights(**{each: float(each == name) for each in NAMES})


def test_the_temporal_loss_of_three_pixels():
    """Pixel 0 moves to where 1 was; 1 and 2 stay. Squared distances 0.5, 0 and 2, of which V takes all, all, half."""
    now = torch.tensor([[1.0, 0.0], [0.5, 0.5], [1.0, 0.0]]).T.view(1, 2, 1, 3)
    other = torch.tensor([[0.0, 1.0], [0.5, 0.5], [0.0, 1.0]]).T.view(1, 2, 1, 3)
    flow = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]).view(1, 2, 1, 3)
    visible = torch.tensor([[[1.0, 1.0, 0.5]]])
    assert temporal_loss(now, other, flow, visible).item() == pytest.approx((0.5 + 0 + 0.5 * 2) / 3)


def test_a_pixel_is_visible_as_far_as_its_colour_stays():
    image, other = torch.zeros(1, 3, 1, 4), torch.zeros(1, 3, 1, 4)
    image[0, :, 0, 1] = torch.tensor([0.5, -0.5, 0.25])  # a sum over channels of 1.25, though they nearly cancel out
    flow = torch.zeros(1, 2, 1, 4)
    flow[0, 0, 0, 3] = 1  # out of the frame
    torch.testing.assert_close(visibility(image, other, flow), torch.tensor([[[1, math.exp(-1.25), 1, 0]]]))


def test_a_window_that_moves_as_its_flow_says_has_no_temporal_loss():
    """Logits at the size of the images, all moving by one pixel to the right; so does the flow back to the left."""
    torch.manual_seed(0)
    scene, logits = torch.randn(2, 3, 6, 12), 5 * torch.randn(2, 4, 6, 12)
    images = torch.stack([scene.roll(t, -1) for t in range(3)])
    flows = torch.zeros(2, 2, 2, 6, 12)
    flows[:, :, 0] = -1
    assert temporal_term([logits.roll(t, -1) for t in range(3)], images, flows).item() == pytest.approx(0, abs=1e-9)
    assert temporal_term([logits] * 3, images, flows).item() > 0.1


def test_the_temporal_term_is_the_mean_over_pairs_of_frames_at_full_size():
    student, (images, flows) = outputs(0), window()
    size = images.shape[-2:]
    maps = [F.interpolate(each, size, mode="bilinear").softmax(1) for each in student.logits]
    pairs = [
        temporal_loss(maps[t], maps[t - 1], flows[t - 1], visibility(images[t], images[t - 1], flows[t - 1]))
        for t in (1, 2)
    ]
    torch.testing.assert_close(temporal_term(student.logits, images, flows), (pairs[0] + pairs[1]) / 2)
    pairs = [temporal_loss(maps[t], maps[t - 1], flows[t - 1], in_frame(flows[t - 1])) for t in (1, 2)]
    by_flow = temporal_term(student.logits, images, flows, by_brightness=False)
    torch.testing.assert_close(by_flow, (pairs[0] + pairs[1]) / 2)


def test_the_divergence_of_two_pixels():
    """The teacher says 1/4 and 3/4, the student 1/2 and 1/2; of the other pixel they say the same."""
    teacher = torch.tensor([[0.25, 0.75], [0.9, 0.1]]).log().T.view(1, 2, 1, 2)
    student = torch.tensor([[0.5, 0.5], [0.9, 0.1]]).log().T.view(1, 2, 1, 2)
    expected = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    assert pixel_divergence(student, teacher).item() == pytest.approx(expected / 2)
    assert pixel_divergence(student + 3, teacher).item() == pytest.approx(expected / 2)  # logits have no origin


def test_similarities_are_cosines_whatever_the_lengths():
    """Positions (3, 4) and (0, 2) of one map, (6, 8) and (-1, 0) of the other."""
    first = torch.tensor([[3.0, 4.0], [0.0, 2.0]]).T.view(1, 2, 1, 2)
    second = torch.tensor([[6.0, 8.0], [-1.0, 0.0]]).T.view(1, 2, 1, 2)
    torch.testing.assert_close(similarity(first, second, 48), torch.tensor([[[1.0, -0.6], [0.8, 0.0]]]))


def test_large_maps_are_averaged_down_before_they_are_compared():
    maps = torch.randn(2, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    small = F.avg_pool2d(maps, (2, 3))
    torch.testing.assert_close(similarity(maps, maps, 4), similarity(small, small, 48))
    assert similarity(torch.ones(1, 2, 60, 45), torch.ones(1, 2, 60, 45), 48).shape == (1, 48 * 45, 48 * 45)


def naive_similarity(one, two):
    rows, columns = (each.flatten(2).transpose(1, 2) for each in (one, two))
    return F.cosine_similarity(rows[:, :, None], columns[:, None], dim=-1)


def test_the_single_frame_term_against_a_naive_one():
    student, teacher = outputs(1), outputs(2, channels=11)
    expected = 0.0
    for t in range(FRAMES):
        log_s, log_t = student.logits[t].log_softmax(1), teacher.logits[t].log_softmax(1)
        expected += F.kl_div(log_s, log_t, log_target=True, reduction="sum") / (BATCH * SIZE[0] * SIZE[1])
        mine, theirs = (naive_similarity(each.features[t], each.features[t]) for each in (student, teacher))
        expected += ((mine - theirs) ** 2).mean()
    torch.testing.assert_close(single_frame_term(student, teacher), expected / FRAMES)


def test_the_pair_frame_term_against_a_naive_one():
    student, teacher = outputs(1), outputs(2)
    expected = 0.0
    for t in range(FRAMES - 1):
        mine, theirs = (
            naive_similarity(*(each.logits[t + k].softmax(1) for k in (0, 1))) for each in (student, teacher)
        )
        expected += ((mine - theirs) ** 2).mean()
    torch.testing.assert_close(pair_frame_term(student, teacher), expected / (FRAMES - 1))


def test_the_cell_of_the_convlstm_by_hand():
    """One position, which is like itself (cosine 1), two frames, every weight w, no bias: with z = w (1 + sum h)."""
    module, w = MultiFrame(seed=0), 0.05
    with torch.no_grad():
        module.gates.weight.fill_(w)
        module.gates.bias.zero_()
    sigmoid = lambda z: 1 / (1 + math.exp(-z))  # noqa: E731
    first = sigmoid(w) * math.tanh(w)
    z = w * (1 + HIDDEN * sigmoid(w) * math.tanh(first))
    second = sigmoid(z) * first + sigmoid(z) * math.tanh(z)
    state = module.state([torch.full((1, 2, 1, 1), 3.0), torch.full((1, 2, 1, 1), -2.0)])
    torch.testing.assert_close(state, torch.full((1, HIDDEN, 1, 1), second))


def test_the_multi_frame_term_tells_the_order_of_frames_and_keeps_its_weights_clipped():
    module, student, teacher = MultiFrame(seed=0), outputs(1), outputs(2, channels=11)
    backwards = Outputs(student.logits[::-1], student.features[::-1])
    state = module.state(teacher.features)
    assert state.shape == (BATCH, HIDDEN, SIZE[0] * SIZE[1], SIZE[0] * SIZE[1])
    expected = ((module.state(student.features) - state) ** 2).mean() - state.mean()
    torch.testing.assert_close(module(student, teacher), expected)
    assert module(backwards, teacher) != module(student, teacher)
    optimizer = torch.optim.SGD(module.parameters(), lr=100.0)
    module(student, teacher).backward()
    optimizer.step()
    assert module.gates.weight.abs().max().item() > CLIP
    module(student, teacher)
    assert module.gates.weight.abs().max().item() == pytest.approx(CLIP)


def test_the_same_seed_gives_the_same_convlstm():
    first, same, other = (MultiFrame(seed).gates.weight for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_frame_of_the_student_and_never_the_teacher(name):
    student, teacher = outputs(1, requires_grad=True), outputs(2, requires_grad=True)
    images, flows = window()
    TemporalTerms(only(name), seed=0)(student, images, flows, teacher).backward()
    learning = {"temporal": student.logits, "pair_frame": student.logits, "multi_frame": student.features}
    for each in learning.get(name, [*student.logits, *student.features]):
        assert each.grad is not None
        assert each.grad.abs().sum() > 0
    assert all(each.grad is None for each in [*teacher.logits, *teacher.features])


@pytest.mark.parametrize("name", ["single_frame", "pair_frame"])
def test_who_agrees_with_the_teacher_has_nothing_to_learn(name):
    images, _ = window()
    assert TemporalTerms(only(name), seed=0)(outputs(1), images, teacher=outputs(1)).item() == pytest.approx(
        0, abs=1e-6
    )


def test_each_term_has_its_own_weight():
    student, teacher, (images, flows) = outputs(1), outputs(2), window()
    alone = {name: TemporalTerms(only(name), seed=0)(student, images, flows, teacher).item() for name in NAMES}
    assert alone["temporal"] == pytest.approx(temporal_term(student.logits, images, flows).item())
    weights = dict(zip(NAMES, (0.5, 0.1, 2.0, 0.3), strict=True))
    total = TemporalTerms(TermWeights(**weights), seed=0)(student, images, flows, teacher).item()
    assert total == pytest.approx(sum(weights[name] * alone[name] for name in NAMES), rel=1e-5)
    assert TemporalTerms(only(None), seed=0)(student, images).item() == 0


def test_terms_say_what_they_lack():
    images, flows = window()
    with pytest.raises(ValueError, match="flows"):
        TemporalTerms(only("temporal"), seed=0)(outputs(1), images)
    with pytest.raises(ValueError, match="teacher"):
        TemporalTerms(only("multi_frame"), seed=0)(outputs(1), images, flows)
