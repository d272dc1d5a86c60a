"""The first forms that one would write, with PyTorch's own layers, of all that dyncell computes in its own ways."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import torch
import torch.nn.functional as F  # noqa: N812
from local_correlation import unfold
from torch import Tensor, nn

from searchspace.modules.aggregations import AffineSampling, ConcatConv, PredictiveFilter
from searchspace.modules.attention import Attention, AttentionPropagation, LocalCorrelation, MemoryAttention
from searchspace.modules.cell import CellBlock
from searchspace.modules.deformable import TAPS, DeformableConv
from searchspace.modules.depthwise import DepthwiseConv
from searchspace.modules.layers import BatchNorm

Entry = Mapping[str, Tensor]
M = TypeVar("M", bound=nn.Module)


def deformable(ours: DeformableConv, x: Tensor) -> Tensor:
    """Sample nine maps above each other by one `grid_sample`."""
    n, c, h, w = x.shape
    shift = ours.shift(x)
    down, right = shift[:, : 2 * TAPS].view(n, TAPS, 2, h, w).unbind(2)
    tap = torch.arange(TAPS, device=x.device).view(-1, 1, 1)
    y = down + tap // 3 - 1 + torch.arange(h, device=x.device).view(-1, 1)
    x_ = right + tap % 3 - 1 + torch.arange(w, device=x.device)
    grid = torch.stack(((2 * x_ + 1) / w - 1, (2 * y + 1) / h - 1), -1).view(n, TAPS * h, w, 2)
    seen = F.grid_sample(x, grid, align_corners=False).view(n, c, TAPS, h, w) * shift[:, None, 2 * TAPS :].sigmoid()
    return ours.conv(seen.transpose(1, 2).reshape(n, TAPS * c, h, w))  # type: ignore[no-any-return]


def predictive(ours: PredictiveFilter, x1: Tensor, x2: Tensor) -> Tensor:
    """Unfold all patches, then multiply."""
    patches = F.unfold(x2, 3, padding=1).view(*x2.shape[:2], TAPS, *x2.shape[2:])
    kernels: Tensor = ours.kernel(x1)
    return (patches * kernels.unsqueeze(1)).sum(2)


def affine(ours: AffineSampling, x1: Tensor, x2: Tensor) -> Tensor:
    """Sample by `affine_grid` and `grid_sample`."""
    grid = F.affine_grid(ours.affine(x2.mean((2, 3))).view(-1, 2, 3), list(x1.shape), align_corners=False)
    return F.grid_sample(x1, grid, padding_mode="border", align_corners=False)


def concat_conv(ours: ConcatConv, x1: Tensor, x2: Tensor) -> Tensor:
    """Convolve a stack of two maps by `conv3d`, if the kernel is 3x3."""
    convolution, norm, relu = ours.conv
    c, kernel = x1.shape[1], convolution.get_parameter("weight")
    if kernel.shape[-1] == 1:
        return ours.conv(torch.cat((x1, x2), 1))  # type: ignore[no-any-return]
    stacked = F.conv3d(torch.stack((x1, x2), 2), kernel.view(c, 2, c, 3, 3).transpose(1, 2), padding=(0, 1, 1))
    out: Tensor = relu(norm(stacked.squeeze(2)))
    return out


def encode(block: CellBlock, x2: Tensor, query: Tensor, frame: Tensor) -> Entry:
    """Keep the input of a slot, to encode it again whenever it is read."""
    return {"x2": x2, "frame": frame}


def read(attention: Attention, operation: nn.Module, x1: Tensor, memory: Sequence[Entry], *rest: object) -> Tensor:
    """Encode all slots, and attend to them in the way of their kind."""
    size = (x1.shape[-2], x1.shape[-1])
    entries = [attention.encode(operation(slot["x2"]), size, slot["frame"]) for slot in memory]
    return ATTENTIONS[type(attention)](attention, x1, entries, *rest)


def memory_attention(ours: MemoryAttention, x1: Tensor, memory: Sequence[Entry], *rest: object) -> Tensor:
    """Attend by two products, with all weights in between."""
    query = ours.query(x1)
    keys, values = (torch.cat([entry[name].flatten(2) for entry in memory], 2) for name in ("keys", "values"))
    weights = torch.softmax(query.flatten(2).mT @ keys * (query.shape[1] ** -0.5 if ours.scaled else 1), -1)
    return ours.project((values @ weights.mT).view(len(query), -1, *query.shape[2:]))  # type: ignore[no-any-return]


def local_correlation(ours: LocalCorrelation, x1: Tensor, memory: Sequence[Entry], *rest: object) -> Tensor:
    """Attend to windows side by side, by two products."""
    keys, values = (torch.stack([entry[name] for entry in memory], 1) for name in ("keys", "values"))
    return ours.project(unfold(ours.query(x1), keys, values, ours.window))  # type: ignore[no-any-return]


ATTENTIONS: dict[type, Callable[..., Tensor]] = {
    MemoryAttention: memory_attention,
    LocalCorrelation: local_correlation,
    AttentionPropagation: AttentionPropagation.forward,
}
FORWARD: dict[type, Callable[..., Tensor]] = {
    BatchNorm: nn.BatchNorm2d.forward,
    DepthwiseConv: nn.Conv2d.forward,
    DeformableConv: deformable,
    PredictiveFilter: predictive,
    AffineSampling: affine,
    ConcatConv: concat_conv,
}


def make_plain(module: M) -> M:
    """Change a module to compute the same with the same weights in the plain ways; return it."""
    for part in module.modules():
        if type(part) in FORWARD:
            part.forward = partial(FORWARD[type(part)], part)
        if isinstance(part, CellBlock) and isinstance(part.aggregation, Attention):
            part.encode = partial(encode, part)  # type: ignore[method-assign]
            part.aggregation.forward = partial(read, part.aggregation, part.second)
    return module
