"""Local correlation: attention of each position over a window around the same position of every slot of a memory.

All queries of a tile of the map read one region of keys and values, so that their logits are one matrix product, from
which a mask takes what is outside windows. Tiles are worked on in stacks that fit in a cache, and the backward pass
computes weights again: beside inputs and results nothing is kept, and nothing has the size of window^2 x channels.
"""

from collections.abc import Iterator, Sequence
from math import inf, prod
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from searchspace.modules.tiling import TileStack, tile_stacks


def local_correlation(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    window: int,
    masked: bool = False,
    joint: bool = True,
    present: Tensor | None = None,
) -> Tensor:
    """Attend within windows: softmax of a query times the keys of its windows, times the values there.

    Products, softmax and sums are in float32 at least, under autocast as well. The second derivative is not defined.

    Args:
        query: (N, d, h, w).
        keys: (N, T, d, h, w), slots newest last.
        values: (N, T, c, h, w).
        window: full side of the window, odd; it may be larger than the map.
        masked: leave positions outside the map out. Otherwise they take part with logit 0 and value 0, as zero padding
            has it in LMANet's published code, which weakens the read near borders.
        joint: one softmax over slots and window. Otherwise one for each slot (the paper's eq. 4), and the reads add up.
        present: which slots count, bool (T,), at least one; None for all.

    Returns:
        (N, c, h, w), in the type of `values`.
    """
    if not joint:
        reads = [
            local_correlation(query, key.unsqueeze(1), value.unsqueeze(1), window, masked)
            for key, value in zip(keys.unbind(1), values.unbind(1), strict=True)
        ]
        if present is not None:
            reads = [torch.where(there, read, 0) for there, read in zip(present.unbind(), reads, strict=True)]
        return torch.stack(reads).sum(0)
    read = _read_exportable if torch.compiler.is_exporting() else _read
    query, keys, values = query.permute(0, 2, 3, 1), keys.permute(0, 3, 4, 1, 2), values.permute(0, 3, 4, 1, 2)
    out: Tensor = read(query, keys, values, present, window, masked)
    return out.permute(0, 3, 1, 2)


def _weights(
    query: Tensor, keys: Tensor, present: Tensor | None, window: int, masked: bool, pairs: float | None = None
) -> Iterator[tuple[TileStack, Tensor, Tensor, Tensor]]:
    """Cut maps into stacks of tiles: each with queries, regions of keys, and weights (n, tiles, queries, keys).

    By default a stack has 1 MB of logits, for the cache of a core, or 16 MB, for that of a GPU.
    """
    pairs = pairs or (2**18 if query.is_cpu else 2**22)
    n, height, width, slots, _ = keys.shape
    cut = list(tile_stacks(n, height, width, slots, window // 2, pairs))
    out = cut[0].far(keys.device).unsqueeze(2).expand(-1, -1, slots)  # the same for all stacks
    if present is not None:
        out = out | ~present
    mask = torch.zeros(out.shape, device=keys.device).masked_fill(out, -inf).flatten(1)
    inside = torch.zeros((), device=keys.device).expand(n, height, width, slots, 1)
    for stack in cut:
        q, k = stack.queries(query), stack.regions(keys)
        logits = q @ k.mT
        logits += mask
        if masked:  # not with infinity, as tiles may have queries that see nothing of the map
            logits += stack.regions(inside, outside=torch.finfo(torch.float32).min).mT
        yield stack, q, k, logits.softmax(-1)


@torch.library.custom_op("dyncell::local_correlation", mutates_args=())
def _read(query: Tensor, keys: Tensor, values: Tensor, present: Tensor | None, window: int, masked: bool) -> Tensor:
    """Read (N, h, w, c) by a query (N, h, w, d) of keys (N, h, w, T, d) and values (N, h, w, T, c)."""
    read = values.new_zeros(*query.shape[:3], values.shape[-1])
    with torch.autocast(query.device.type, enabled=False):
        for stack, _, _, weights in _weights(query, keys, present, window, masked):
            stack.add_queries(read, weights @ stack.regions(values))
    return read


@torch.library.custom_op("dyncell::local_correlation_backward", mutates_args=())
def _read_backward(
    grad: Tensor, query: Tensor, keys: Tensor, values: Tensor, present: Tensor | None, window: int, masked: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the gradients of the query, the keys and the values."""
    wide = torch.promote_types(query.dtype, torch.float32)  # sums over many stacks
    of_query, of_keys, of_values = (torch.zeros(x.shape, dtype=wide, device=x.device) for x in (query, keys, values))
    with torch.autocast(query.device.type, enabled=False):
        for stack, q, k, weights in _weights(query, keys, present, window, masked):
            g = stack.queries(grad)
            stack.add_regions(of_values, weights.mT @ g)
            of_weights = g @ stack.regions(values).mT
            of_logits = weights * (of_weights - (weights * of_weights).sum(-1, keepdim=True))
            stack.add_queries(of_query, of_logits @ k)
            stack.add_regions(of_keys, of_logits.mT @ q)
    return of_query.to(query.dtype), of_keys.to(keys.dtype), of_values.to(values.dtype)


def _read_exportable(
    query: Tensor, keys: Tensor, values: Tensor, present: Tensor | None, window: int, masked: bool
) -> Tensor:
    """Do as `_read` in operations that exporters know, and few of them."""
    strips = [
        (weights @ stack.regions(values)).view(len(query), -1, stack.columns, values.shape[-1])
        for stack, _, _, weights in _weights(query, keys, present, window, masked, inf)
    ]
    return torch.cat(strips, 2)[:, : query.shape[1], : query.shape[2]]


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ANN401
    *tensors, ctx.window, ctx.masked = inputs
    ctx.save_for_backward(*tensors)


def _differentiate(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
    return *_read_backward(grad, *ctx.saved_tensors, ctx.window, ctx.masked), None, None, None


_read.register_autograd(_differentiate, setup_context=_save)
_read.register_fake(lambda query, keys, values, *_: values.new_empty(*query.shape[:3], values.shape[-1]))
_read_backward.register_fake(lambda grad, *inputs: tuple(x.new_empty(x.shape) for x in inputs[:3]))


Shape = Sequence[int]


@register_flop_formula(torch.ops.dyncell.local_correlation)
def _flops(query: Shape, keys: Shape, values: Shape, present: object, window: int, *_: object, **__: object) -> int:
    """Count the operations of pairs within windows, 2 for a multiply-add, without what tiles compute beside."""
    return 2 * prod(keys[:4]) * window**2 * (keys[4] + values[4])


@register_flop_formula(torch.ops.dyncell.local_correlation_backward)
def _flops_backward(grad: Shape, query: Shape, keys: Shape, values: Shape, *rest: Any, **_: object) -> int:  # noqa: ANN401
    """Count as `_flops` does: the logits again, and two gradients of each product."""
    window: int = rest[1]
    return 2 * prod(keys[:4]) * window**2 * (3 * keys[4] + 2 * values[4])
