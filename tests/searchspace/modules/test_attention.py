import pytest
import torch

from searchspace.modules.attention import (
    AttentionPropagation,
    LocalCorrelation,
    MemoryAttention,
    PhasedConv,
    product_attention,
)


def attend(naive, query, keys, values, scale=1.0):
    """At each query position the mean of the values, weighed by exp(scale * product), over all positions of all slots.

    Args:
        naive: the loops that all tests share.
        query: (N, d, h, w).
        keys: of each slot, (N, d, ., .).
        values: of each slot, (N, c, ., .), on the same positions.
        scale: of the products.
    """

    def value(n, row, column):
        weights, read = [], []
        for key, content in zip(keys, values, strict=True):
            for r in range(key.shape[2]):
                for c in range(key.shape[3]):
                    weights.append((scale * (query[n, :, row, column] * key[n, :, r, c]).sum()).exp())
                    read.append(content[n, :, r, c])
        return sum(w * x for w, x in zip(weights, read, strict=True)) / sum(weights)

    return naive.every_pixel(query, value)


def correlate(naive, query, keys, values, window, masked, joint):
    """As `attend`, over a window around the query's position only; positions outside are zeros unless `masked`."""
    reach, (height, width) = window // 2, query.shape[-2:]
    steps = range(-reach, reach + 1)

    def value(n, row, column):
        reads, masses = [], []
        for key, content in zip(keys, values, strict=True):
            read, mass = 0, 0
            for r, c in ((row + dy, column + dx) for dy in steps for dx in steps):
                if masked and not (0 <= r < height and 0 <= c < width):
                    continue
                weight = (query[n, :, row, column] * naive.pixel(key, n, r, c)).sum().exp()
                read, mass = read + weight * naive.pixel(content, n, r, c), mass + weight
            reads.append(read)
            masses.append(mass)
        if joint:
            return sum(reads) / sum(masses)
        return sum(read / mass for read, mass in zip(reads, masses, strict=True))

    return naive.every_pixel(query, value)


def linear(naive, x, layer):
    return naive.conv(x, layer.weight) + layer.bias[:, None, None]


def encoded(naive, x, encoder):
    """TMANet's encoder of keys and values, in train mode."""
    for convolution, norm, _ in encoder:
        x = naive.norm_relu(naive.conv(x, convolution.weight), norm)
    return x


def deep_linear(naive, x, encoder):
    """TDNet's encoder of queries and keys, in train mode: its batch norm written as a difference of two ReLUs."""
    first, norm, _, second = encoder
    x = linear(naive, x, first)
    mean = x.mean(dim=(0, 2, 3), keepdim=True)
    variance = ((x - mean) ** 2).mean(dim=(0, 2, 3), keepdim=True)
    x = (x - mean) / (variance + 1e-5).sqrt() * norm.weight[:, None, None] + norm.bias[:, None, None]
    return linear(naive, x.clamp(min=0) - 0.01 * (-x).clamp(min=0), second)


def place(number):
    return torch.tensor([number])


def slots_of(draw, count, *shape):
    return [draw(*shape, seed=10 + index) for index in range(count)]


def read(attention, x1, slots, first=0):
    """Encode the slots, frames `first`, `first` + 1, ..., and read them from the frame after."""
    size = (x1.shape[-2], x1.shape[-1])
    memory = [attention.encode(x, size, place(first + index)) for index, x in enumerate(slots)]
    return attention(x1, memory, place(first + len(slots)))


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize(("depth", "channels"), [(2, 5), (5, 2), (1, 1)], ids=str)
@pytest.mark.parametrize(
    ("batch", "size", "memory", "count"), [(1, (3, 5), (3, 5), 1), (2, (3, 1), (2, 3), 3), (1, (1, 1), (1, 1), 2)]
)
def test_product_attention_is_an_explicit_softmax(
    scaled, depth, channels, batch, size, memory, count, naive, draw, assert_same
):
    query = draw(batch, depth, *size)
    keys, values = slots_of(draw, count, batch, depth, *memory), slots_of(draw, count, batch, channels, *memory)
    expected = attend(naive, query, keys, values, depth**-0.5 if scaled else 1.0)
    assert_same(product_attention(query, keys, values, scaled), expected, [query, *keys, *values])


@pytest.mark.parametrize("present", [(False, True, True), (False, False, True), (True, False, True)], ids=str)
def test_slots_that_are_not_there_are_not_read_whatever_they_hold(present, naive, draw, assert_same):
    query, keys, values = draw(2, 3, 3, 4), slots_of(draw, 3, 2, 3, 2, 3), slots_of(draw, 3, 2, 4, 2, 3)
    real = [index for index, there in enumerate(present) if there]
    expected = attend(naive, query, [keys[i] for i in real], [values[i] for i in real])
    actual = product_attention(query, keys, values, False, torch.tensor(present))
    assert_same(actual, expected, [query, *keys, *values])  # gradients of what is not there: zeros


@pytest.mark.parametrize("present", [None, torch.tensor([False, True])], ids=["all", "one"])
def test_unscaled_products_of_bfloat16_are_summed_in_float32(present, draw):
    query, keys = (10 * draw(1, 64, 3, 4)).bfloat16(), [(10 * draw(1, 64, 3, 4, seed=s)).bfloat16() for s in (1, 2)]
    keys[1] = (query * 1.01).bfloat16()  # products of some 6400; a bfloat16 sum would be off by up to 16
    values = [draw(1, 8, 3, 4, seed=s).bfloat16() for s in (3, 4)]
    full = product_attention(query.double(), [k.double() for k in keys], [v.double() for v in values], False, present)
    half = product_attention(query, keys, values, False, present)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.double(), full, rtol=2**-7, atol=2**-7)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("values", "scaled"), [(3, False), (4, True)])
def test_memory_attention_is_tmanets(stride, values, scaled, naive, draw, stir, assert_same):
    module = stir(MemoryAttention(3, 4, keys=2, values=values, stride=stride, scaled=scaled).double())
    x1, slots = draw(1, 3, 3, 4), slots_of(draw, 2, 1, 3, 5, 3)
    taken = [x[:, :, 0::stride, 0::stride] for x in slots]
    keys, contents = ([encoded(naive, x, encoder) for x in taken] for encoder in (module.key, module.value))
    expected = attend(naive, encoded(naive, x1, module.query), keys, contents, 2**-0.5 if scaled else 1.0)
    if values != 3:
        expected = linear(naive, expected, module.project)
    assert_same(read(module, x1, slots), expected, [x1, *slots, *module.parameters()])


@pytest.mark.parametrize(("masked", "joint"), [(False, True), (True, True), (False, False), (True, False)])
@pytest.mark.parametrize("window", [1, 3, 7])
def test_local_correlation_is_lmanets(masked, joint, window, naive, draw, stir, assert_same):
    module = stir(LocalCorrelation(3, 4, window, keys=2, values=4, masked=masked, joint=joint).double())
    x1, slots = draw(1, 3, 3, 4), slots_of(draw, 2, 1, 3, 3, 4)
    keys, values = ([linear(naive, x, encoder) for x in slots] for encoder in (module.key, module.value))
    expected = correlate(naive, linear(naive, x1, module.query), keys, values, window, masked, joint)
    expected = linear(naive, expected, module.project)
    assert_same(read(module, x1, slots), expected, [x1, *slots, *module.parameters()])


@pytest.mark.parametrize(("size", "count"), [((4, 5), 3), ((1, 3), 1)], ids=str)
def test_a_masked_window_over_the_whole_map_is_attention_to_all_of_it(size, count, draw, stir, assert_same):
    module = stir(LocalCorrelation(3, 4, 2 * max(size) - 1, keys=2, values=3, masked=True, joint=True).double())
    x1, slots = draw(2, 3, *size), slots_of(draw, count, 2, 3, *size)
    keys, values = ([encoder(x) for x in slots] for encoder in (module.key, module.value))
    expected = product_attention(module.query(x1), keys, values, scaled=False)
    assert_same(read(module, x1, slots), expected, [x1, *slots, *module.parameters()])


def test_local_correlation_brings_slots_to_the_queries_grid(draw):
    module, x2 = LocalCorrelation(3, 1, 3, keys=2, values=3, masked=False, joint=True).double(), draw(1, 3, 2, 3)
    finer = torch.nn.functional.interpolate(x2, size=(5, 7), mode="bilinear", align_corners=False)
    torch.testing.assert_close(read(module, draw(1, 3, 5, 7), [x2]), read(module, draw(1, 3, 5, 7), [finer]))


def test_queries_and_keys_of_local_correlation_start_alike_and_are_trained_apart(draw):
    module = LocalCorrelation(4, 1, 3, keys=2, values=4, masked=False, joint=True)
    x1, x2 = draw(1, 4, 5, 5, dtype=torch.float32), torch.rand(1, 4, 5, 5)
    assert torch.equal(module.query.weight, module.key.weight)
    assert torch.equal(module.query.bias, module.key.bias)
    read(module, x1, [x2]).square().sum().backward()
    assert not torch.allclose(module.query.weight.grad, module.key.weight.grad)


def propagated(naive, module, x1, slots, seen=lambda x, frame: x):
    """TDNet, its definition: u is 0 before the oldest slot, and each next one adds what it attends to.

    Args:
        naive: the loops that all tests share.
        module: its weights.
        x1: frame `len(slots)`.
        slots: frames 0, 1, ..., of the same size as `x1` or larger.
        seen: what a frame's sub-network makes of it, before all else.
    """
    taken = [seen(x[:, :, :: module.stride, :: module.stride], frame) for frame, x in enumerate(slots)]
    now, u = seen(x1, len(slots)), None
    for index, x in enumerate(taken):
        last = index == len(taken) - 1
        query = deep_linear(naive, now if last else taken[index + 1], module.query)
        key, value = deep_linear(naive, x, module.key), linear(naive, x, module.value)
        carried = value if u is None else value + u
        stage = module.stages[len(module.stages) - len(taken) + index]
        u = naive.conv(attend(naive, query, [key], [carried], key.shape[1] ** -0.5), stage.weight)
    y = u + linear(naive, now, module.value)
    images = []
    for image in y:
        centred = image - image.mean()
        images.append(centred / ((centred**2).mean() + 1e-5).sqrt())
    y = torch.stack(images) * module.norm.weight[:, None, None] + module.norm.bias[:, None, None]
    return y if isinstance(module.project, torch.nn.Identity) else linear(naive, y, module.project)


@pytest.mark.parametrize(("stride", "values"), [(1, 3), (2, 5)])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_attention_propagation_is_tdnets(stride, values, count, naive, draw, stir, assert_same):
    module = stir(AttentionPropagation(3, 3, stride, phases=1, keys=2, values=values).double())
    x1, slots = draw(2, 3, 3, 4), slots_of(draw, count, 2, 3, 3, 4)
    expected = propagated(naive, module, x1, slots)
    assert_same(read(module, x1, slots), expected, [x1, *slots, *module.parameters()])


def test_with_one_slot_attention_propagation_is_plain_attention(draw, stir, assert_same):
    module = stir(AttentionPropagation(3, 1, 2, phases=1, keys=2, values=3).double())
    x1, x2 = draw(2, 3, 3, 5), draw(2, 3, 3, 5, seed=1)
    taken = x2[..., ::2, ::2]
    plain = product_attention(module.query(x1), [module.key(taken)], [module.value(taken)], scaled=True)
    expected = module.norm(module.stages[0](plain) + module.value(x1))
    assert_same(read(module, x1, [x2]), expected, [x1, x2, *module.parameters()])
    assert module.encode(x2, (3, 5), place(0)).keys() == {"keys", "values"}  # nobody would read its queries


def test_subsampling_before_the_encoders_is_subsampling_after_them_in_eval_mode(draw, stir):
    module, x = stir(AttentionPropagation(3, 3, 2, phases=1, keys=2, values=3).double()).eval(), draw(1, 3, 5, 7)
    entry = module.encode(x, (5, 7), place(0))
    for name, encoder in {"keys": module.key, "values": module.value, "queries": module.query}.items():
        torch.testing.assert_close(entry[name], encoder(x)[..., ::2, ::2])


@pytest.mark.parametrize("phases", [1, 2])
@pytest.mark.parametrize("zeros", [1, 2])
def test_slots_of_zeros_in_front_are_exactly_as_good_as_none_to_attention_propagation(phases, zeros, draw, stir):
    module = stir(AttentionPropagation(4, 4, 2, phases, keys=2, values=3).double())
    x1 = draw(2, 4, 5, 3)
    memory = [module.encode(x, (5, 3), place(index)) for index, x in enumerate(slots_of(draw, 2, 2, 4, 5, 3))]
    nothing = {name: torch.zeros_like(x) for name, x in memory[0].items()}
    expected = module.eval()(x1, memory, place(2))
    assert torch.equal(module(x1, [nothing] * zeros + memory, place(2)), expected)


@pytest.mark.parametrize("phases", [2, 3])
def test_a_phased_convolution_takes_turns_over_groups_and_weights(phases, draw, stir, assert_same):
    module, x = stir(PhasedConv(6, phases).double()), draw(2, 6, 3, 4)
    for frame in range(2 * phases + 1):
        turn, width = frame % phases, 6 // phases
        group = x[:, turn * width : (turn + 1) * width]
        expected = torch.einsum("oi,nihw->nohw", module.weight[turn], group)
        expected = expected + module.bias[turn][:, None, None]
        assert_same(module(x, place(frame)), expected, [x, *module.parameters()])


def test_each_phase_starts_as_a_convolution_of_its_own():
    module = PhasedConv(8, 4)
    assert (module.weight.shape, module.bias.shape) == ((4, 8, 2), (4, 8))
    assert module.weight.abs().max() <= 2**-0.5  # of a 1x1 convolution of 2 channels, which knows of no other phase
    assert all(not torch.equal(module.weight[0], other) for other in module.weight[1:])
    with pytest.raises(ValueError, match="3 phases do not divide 8 channels"):
        PhasedConv(8, 3)


@pytest.mark.parametrize("first", [0, 1, 6])
def test_with_phases_a_frame_is_seen_through_its_turn_of_the_channels(first, naive, draw, stir, assert_same):
    module = stir(AttentionPropagation(4, 3, 1, phases=2, keys=2, values=3).double())
    x1, slots = draw(1, 4, 2, 3), slots_of(draw, 3, 1, 4, 2, 3)

    def seen(x, frame):
        turn = (first + frame) % 2
        weight, bias = module.select.weight[turn, :, :, None, None], module.select.bias[turn]
        return naive.conv(x[:, 2 * turn : 2 * turn + 2], weight) + bias[:, None, None]

    expected = propagated(naive, module, x1, slots, seen)
    assert_same(read(module, x1, slots, first), expected, [x1, *slots, *module.parameters()])
