"""Checks on the decoder against the published genotype, interpreted step by step."""

import torch
from torch.nn import functional

from cache.static.decoder import ContextualCell, Decoder, JoinBlock

# The published genotype of arch2: [[first op, [i, j, opA, opB], ...], [[block inputs], ...]].
ARCH2 = [[5, [0, 0, 4, 1], [3, 2, 0, 1], [5, 6, 5, 0]], [[1, 3], [4, 3], [2, 2]]]
CELL_ORDER = ("dilated", "pooled", "local", "local_point", "pooled_conv", "local_dilated", "pooled_point")

CHANNELS = {"layer2": 32, "layer3": 96, "layer4": 320}


def randomised(module):
    """Statistics and scales as after training, so that every norm does something."""
    generator = torch.Generator().manual_seed(0)
    for tensor in module.state_dict().values():
        if tensor.is_floating_point() and tensor.ndim == 1:
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return module.double().eval()


def conv_norm_relu(x, layer, dilation=1):
    conv, norm = layer[0], layer[1]
    y = functional.conv2d(x, conv.weight, padding=dilation * (conv.kernel_size[0] // 2), dilation=dilation)
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return ((y - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[:, None, None]).clamp(min=0)


def published_operation(index, x, layer):
    if index == 4:  # global average pool, 1x1 convolution, back to the size of the input
        small = conv_norm_relu(functional.adaptive_avg_pool2d(x, 1), layer)
        return functional.interpolate(small, x.shape[-2:], mode="bilinear", align_corners=False)
    return conv_norm_relu(x, layer, dilation={0: 1, 1: 1, 5: 3}[index])


def published_cell(x, cell):
    """Features are numbered in order of creation; sums and the first result that nothing takes are added up."""
    first, *rest = ARCH2[0]
    layers = iter([getattr(cell, name) for name in CELL_ORDER])
    features, loose = [x, published_operation(first, x, next(layers))], [1]
    for i, j, left, right in rest:
        a, b = (published_operation(op, features[at], next(layers)) for op, at in ((left, i), (right, j)))
        features += [a, b, a + b]
        loose = [at for at in loose if at not in (i, j)] + [len(features) - 1]
    return sum(features[at] for at in loose)


def test_a_cell_has_the_published_size():
    assert sum(p.numel() for p in ContextualCell(64).parameters()) == 160_640


def test_a_cell_computes_the_published_graph():
    cell = randomised(ContextualCell(8))
    x = torch.randn(2, 8, 7, 5, dtype=torch.float64)
    torch.testing.assert_close(cell(x), published_cell(x, cell))


def test_a_block_has_the_published_size_and_grows_to_the_larger_input():
    assert sum(p.numel() for p in JoinBlock(64).parameters()) == 329_728
    block = JoinBlock(8).eval()
    small, large = torch.randn(1, 8, 6, 8), torch.randn(1, 8, 23, 30)
    assert block(small, large).shape == block(large, small).shape == large.shape


def test_the_decoder_computes_the_published_graph():
    decoder = randomised(Decoder(CHANNELS, 8))
    sizes = {"layer1": (24, 18, 14), "layer2": (32, 9, 7), "layer3": (96, 5, 4), "layer4": (320, 3, 2)}
    encoded = {name: torch.randn(2, *shape, dtype=torch.float64) for name, shape in sizes.items()}
    pool = [None] + [conv_norm_relu(encoded[name], decoder.adapters[name]) for name in ("layer2", "layer3", "layer4")]
    for block, (i, j) in zip(decoder.blocks, ARCH2[1], strict=True):
        sides = [
            conv_norm_relu(published_cell(pool[at], side[0]), side[1])
            for at, side in ((i, block.left), (j, block.right))
        ]
        size = max(tuple(side.shape[-2:]) for side in sides)
        pool.append(sum(functional.interpolate(side, size, mode="bilinear", align_corners=False) for side in sides))
    taken = {index for pair in ARCH2[1] for index in pair}
    loose = [pool[index] for index in range(4, 7) if index not in taken]
    size = max(tuple(each.shape[-2:]) for each in loose)
    joined = torch.cat([functional.interpolate(each, size, mode="bilinear", align_corners=False) for each in loose], 1)
    torch.testing.assert_close(decoder(encoded), conv_norm_relu(joined.relu(), decoder.merge))


def test_every_parameter_gets_a_gradient():
    decoder = Decoder(CHANNELS, 8).train()
    encoded = {
        name: torch.randn(2, c, s, s) for name, c, s in (("layer2", 32, 9), ("layer3", 96, 5), ("layer4", 320, 3))
    }
    decoder(encoded).sum().backward()
    assert all(p.grad is not None for p in decoder.parameters())
