"""The two-input aggregations of a cell, by name: modules from two maps (N, C, h, w) to one.

Both inputs come at the same size; the cell sees to that. The attentions among them read a memory as their second
input and live in `searchspace/modules/attention.py`.
"""

from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor, nn

from searchspace.modules.attention import AttentionPropagation, LocalCorrelation, MemoryAttention
from searchspace.modules.layers import BatchNorm, ConvNormReLU
from searchspace.modules.pixels import bilinear, weighted_pixels

FUSION_EPSILON: Final = 1e-3  # of LMANet's batch norms, by its published code; PyTorch's default is 1e-5


class WeightedSum(nn.Module):
    """Weighted sum `a * x1 + b * x2`, with an a and a b for each channel, all 1 at the start; no norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.ones(channels, 1, 1))
        self.second = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return self.first * x1 + self.second * x2


class ConcatConv(nn.Module):
    """Concatenation in the channels, then convolution back to C, batch norm, ReLU.

    A 2x3x3 convolution over the two maps as a stack of depth 2, unpadded in depth, is a 3x3 one over their 2C
    channels: the same sums, weights and initial distribution.
    """

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.conv = ConvNormReLU(2 * channels, channels, kernel)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return self.conv(torch.cat((x1, x2), 1))  # type: ignore[no-any-return]


class PredictiveFilter(nn.Module):
    """Filter for `x2`: at each pixel a 3x3 kernel that a 1x1 convolution of `x1` predicts there; zeros outside.

    All channels share the kernel (spatially variant filters, as in Li et al. 2018, "Low-Latency Video Semantic
    Segmentation"). At the start it is the identity of `x2`.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.kernel = nn.Conv2d(channels, 9, 1)
        assert self.kernel.bias is not None
        with torch.no_grad():
            self.kernel.weight.zero_()
            self.kernel.bias.copy_(torch.eye(9)[4])

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        height, width = x2.shape[-2:]
        tap = torch.arange(9, dtype=torch.int32, device=x2.device)
        y = torch.arange(height, dtype=torch.int32, device=x2.device).view(-1, 1, 1) + tap // 3 - 1  # (h, 1, 9)
        x = torch.arange(width, dtype=torch.int32, device=x2.device).view(-1, 1) + tap % 3 - 1  # (w, 9)
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        index = y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
        weight = self.kernel(x1).permute(0, 2, 3, 1) * inside.float()
        return weighted_pixels(x2, index.expand(weight.shape), weight).permute(0, 3, 1, 2)


class AffineSampling(nn.Module):
    """Sampling of `x1` on an affine grid that the mean of `x2` predicts, one for each image; `x2` goes nowhere else.

    It is bilinear; points outside read the nearest border pixel. At the start it is the identity of `x1`. Spatial
    transformers, Jaderberg et al. 2015 (arXiv:1506.02025), eq. 1, with pixel centres as `align_corners=False` has them.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.affine = nn.Linear(channels, 6)
        with torch.no_grad():
            self.affine.weight.zero_()
            self.affine.bias.copy_(torch.eye(2, 3).flatten())

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        height, width = size = (x1.shape[-2], x1.shape[-1])
        pooled = x2.mean(dim=(2, 3)).to(self.affine.weight.dtype)
        # As sums, because under autocast a linear layer or a matrix product would move points by tenths of a pixel.
        theta = ((self.affine.weight * pooled.unsqueeze(1)).sum(2) + self.affine.bias).view(-1, 2, 3, 1, 1)
        right, down = (torch.arange(1, 2 * n, 2, dtype=theta.dtype, device=x1.device) / n - 1 for n in (width, height))
        grid = theta[:, :, 0] * right + theta[:, :, 1] * down[:, None] + theta[:, :, 2]
        x, y = (grid[:, i].add(1).mul(n / 2).sub(0.5).clamp(0, n - 1) for i, n in enumerate((width, height)))
        return weighted_pixels(x1, *bilinear(y, x, size)).permute(0, 3, 1, 2)


class AttentionGate(nn.Module):
    """Dense attention `x1 * sigmoid(x2)`, without parameters."""

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return x1 * x2.sigmoid()


class GatedFusion(nn.Module):
    """Sum of both inputs, each weighed by a sigmoid of both (LMANet, arXiv:2101.01715, eq. 6).

    The full form convolves gates and inputs, 3x3, after a batch norm and ReLU of each input. The light form gates the
    inputs themselves with 1x1 convolutions through C/8 channels, the first of which both inputs share, as in the
    published code. Ours: no dropout.
    """

    def __init__(self, channels: int, light: bool) -> None:
        super().__init__()
        self.light = light
        if light:
            narrow = max(1, channels // 8)
            self.squeeze = nn.Conv2d(channels, narrow, 1, bias=False)
            self.squeeze_norm = BatchNorm(narrow, eps=FUSION_EPSILON)
            self.gates = nn.Conv2d(narrow, 2 * channels, 1)
        else:
            self.norms = nn.ModuleList(BatchNorm(channels, eps=FUSION_EPSILON) for _ in range(2))
            self.gates = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1)
            self.encoders = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.norm = BatchNorm(channels, eps=FUSION_EPSILON)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        if self.light:
            a, b = x1, x2
            gates = self.gates(self.squeeze_norm(self.squeeze(x1 + x2)).relu())
        else:
            one, two = (norm(x).relu() for norm, x in zip(self.norms, (x1, x2), strict=True))
            a, b = (encoder(x) for encoder, x in zip(self.encoders, (one, two), strict=True))
            gates = self.gates(torch.cat((one, two), 1))
        gate_a, gate_b = gates.sigmoid().chunk(2, 1)
        return self.norm(gate_a * a + gate_b * b).relu()  # type: ignore[no-any-return]


def concat(channels: int) -> nn.Module:
    """Build concatenation and 1x1 convolution, normalised after it like the operations (the ancestor: before)."""
    return ConcatConv(channels, kernel=1)


def conv3d(channels: int) -> nn.Module:
    """Build a 2x3x3 convolution of the stacked inputs."""
    return ConcatConv(channels, kernel=3)


AGGREGATIONS: Final[Mapping[str, Callable[..., nn.Module]]] = {  # name -> builder(channels, **parameters)
    "weighted_sum": WeightedSum,
    "concat": concat,
    "predictive_filter": PredictiveFilter,
    "affine_sampling": AffineSampling,
    "conv3d": conv3d,
    "attention_gate": AttentionGate,
    "memory_attention": MemoryAttention,
    "local_correlation": LocalCorrelation,
    "attention_propagation": AttentionPropagation,
    "gated_fusion": GatedFusion,
}
