"""Aggregations that read a memory: attention of the current frame over the slots of past frames.

An attention does its work in two moves. `encode` turns one slot into an entry (keys, values) when the slot is the
newest; entries are kept, so that a frame is encoded once however often it is read. Calling the module reads all
entries. Shapes are (N, C, h, w) throughout.

`MemoryAttention` is TMANet's, Wang et al. 2021, "Temporal Memory Attention for Video Semantic Segmentation"
(arXiv:2102.08643); `LocalCorrelation` LMANet's, Paul et al. 2021, "Local Memory Attention for Fast Video Semantic
Segmentation" (arXiv:2101.01715); `AttentionPropagation` TDNet's, Hu et al. 2020, "Temporally Distributed Networks for
Fast Video Semantic Segmentation" (arXiv:2004.01800). Where a paper and its published code differ, the code is followed.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from searchspace.modules.layers import BatchNorm, ConvNormReLU, resize
from searchspace.modules.local_correlation import local_correlation

Entry = Mapping[str, Tensor]
"""Tensors that an attention keeps of one slot, by name."""


class Attention(nn.Module, ABC):
    """An aggregation whose second input is a memory of up to `slots` frames."""

    phases = 1
    """Period, in frames, with which weights take turns."""

    def __init__(self, slots: int) -> None:
        super().__init__()
        self.slots = slots

    @abstractmethod
    def encode(self, x2: Tensor, size: tuple[int, int], frame: Tensor) -> Entry:
        """Turn a slot into its entry.

        Args:
            x2: (N, C, ., .).
            size: (height, width) of the queries that will read it.
            frame: int64 (1,), the slot's place in the clip.
        """

    @abstractmethod
    def forward(self, x1: Tensor, memory: Sequence[Entry], frame: Tensor, present: Tensor | None = None) -> Tensor:
        """Read the memory.

        Args:
            x1: the query side, (N, C, h, w).
            memory: entries, newest last, 1 to `slots` of them.
            frame: int64 (1,), the place of `x1` in the clip.
            present: bool (len(memory),), False for entries of zeros that stand for frames which have not been yet, at
                least one is True; None where all are real.

        Returns:
            (N, C, h, w).
        """


def product_attention(
    query: Tensor, keys: Sequence[Tensor], values: Sequence[Tensor], scaled: bool, present: Tensor | None = None
) -> Tensor:
    """Attend: softmax of queries times keys, jointly over all positions of all slots, times the values.

    Args:
        query: (N, d, h, w).
        keys: of each slot, (N, d, y, x).
        values: of each slot, (N, c, y, x).
        scaled: divide the products by sqrt(d).
        present: which slots count, bool (slots,); None for all.

    Returns:
        (N, c, h, w). The kernel is `scaled_dot_product_attention`; its fused forms want equal widths of keys and
        values, so the narrower ones get zeros (but not on the meta device, where products are counted, not computed).
    """
    depth, channels = query.shape[1], values[0].shape[1]
    key_width, value_width = (depth, channels) if query.is_meta else 2 * (max(depth, channels),)
    q = _rows(query, key_width)
    k = torch.cat([_rows(key, key_width) for key in keys], 1)
    v = torch.cat([_rows(value, value_width) for value in values], 1)
    mask = None
    if present is not None:
        mask = present[:, None].expand(-1, keys[0].shape[-2] * keys[0].shape[-1]).reshape(1, -1)
    scale = depth**-0.5 if scaled else 1.0
    read = F.scaled_dot_product_attention(q.unsqueeze(1), k.unsqueeze(1), v.unsqueeze(1), attn_mask=mask, scale=scale)
    n, _, height, width = query.shape
    return read.squeeze(1)[..., :channels].transpose(1, 2).reshape(n, channels, height, width)


def _rows(x: Tensor, width: int) -> Tensor:
    """Reshape (N, d, h, w) to (N, h * w, width), with zeros where d is smaller."""
    return F.pad(x.flatten(2).transpose(1, 2), (0, width - x.shape[1]))


class MemoryAttention(Attention):
    """TMANet's attention of `x1` to every position of every slot, for `concat` or `conv3d` to fuse.

    Keys are ReLU outputs and the products are not divided by sqrt(keys), as in the published code; there the encoders
    of keys and values are one for each slot, here all slots share theirs, so that a frame is encoded once.
    """

    def __init__(self, channels: int, slots: int, keys: int, values: int, stride: int, scaled: bool) -> None:
        super().__init__(slots)
        self.stride, self.scaled = stride, scaled
        self.query, self.key, self.value = (_encoder(channels, width) for width in (keys, keys, values))
        self.project = _projection(values, channels)

    def encode(self, x2: Tensor, size: tuple[int, int], frame: Tensor) -> Entry:
        x2 = x2[..., :: self.stride, :: self.stride]
        return {"keys": self.key(x2), "values": self.value(x2)}

    def forward(self, x1: Tensor, memory: Sequence[Entry], frame: Tensor, present: Tensor | None = None) -> Tensor:
        keys, values = ([entry[name] for entry in memory] for name in ("keys", "values"))
        read = product_attention(self.query(x1), keys, values, self.scaled, present)
        return self.project(read)  # type: ignore[no-any-return]


class LocalCorrelation(Attention):
    """LMANet's attention of each position of `x1` to a window around the same position in every slot.

    Encoders are linear 3x3 convolutions; the query's starts as a copy of the keys'. By default the softmax is joint
    over slots and window, and positions outside the map take part with logit 0 and value 0, as in the published code.
    """

    def __init__(
        self,
        channels: int,
        slots: int,
        window: int,
        keys: int,
        values: int,
        masked: bool,
        joint: bool,
    ) -> None:
        super().__init__(slots)
        self.window, self.masked, self.joint = window, masked, joint
        self.query, self.key, self.value = (nn.Conv2d(channels, width, 3, padding=1) for width in (keys, keys, values))
        self.query.load_state_dict(self.key.state_dict())
        self.project = _projection(values, channels)

    def encode(self, x2: Tensor, size: tuple[int, int], frame: Tensor) -> Entry:
        x2 = resize(x2, size)
        return {"keys": self.key(x2), "values": self.value(x2)}

    def forward(self, x1: Tensor, memory: Sequence[Entry], frame: Tensor, present: Tensor | None = None) -> Tensor:
        keys, values = (torch.stack([entry[name] for entry in memory], 1) for name in ("keys", "values"))
        read = local_correlation(self.query(x1), keys, values, self.window, self.masked, self.joint, present)
        return self.project(read)  # type: ignore[no-any-return]


class AttentionPropagation(Attention):
    """TDNet's propagation of what is known, from the oldest slot to the newest, and from there to `x1`.

    With slots 1 ... S and C their queries, keys, values: u_1 = 0, u_i+1 = phi_i(attention(q_i+1, k_i, u_i + v_i)), and
    the result is norm(u_S+1 + v) where q_S+1 and v are those of `x1`. Slots are subsampled by `stride` before they are
    encoded. With `phases` m > 1 the frames take turns: frame t is seen through channels t mod m of m groups and weights
    of its own, which emulates TDNet's sub-networks on one frozen backbone; expect little of it (TDNet, table 7).

    Ours: one norm over all channels and positions instead of TDNet's, whose weights fix the size of the map; no
    dropout; phi without bias, so that slots of zeros are exactly as good as none.
    """

    def __init__(self, channels: int, slots: int, stride: int, phases: int, keys: int, values: int) -> None:
        super().__init__(slots)
        self.stride, self.phases = stride, phases
        self.select = PhasedConv(channels, phases) if phases > 1 else None
        self.query, self.key = (_deep_linear(channels, keys) for _ in range(2))
        self.value = nn.Conv2d(channels, values, 1)
        self.stages = nn.ModuleList(nn.Conv2d(values, values, 1, bias=False) for _ in range(slots))
        self.norm = nn.GroupNorm(1, values)
        self.project = _projection(values, channels)

    def encode(self, x2: Tensor, size: tuple[int, int], frame: Tensor) -> Entry:
        x2 = self._seen(x2[..., :: self.stride, :: self.stride], frame)
        entry = {"keys": self.key(x2), "values": self.value(x2)}
        return entry | {"queries": self.query(x2)} if self.slots > 1 else entry

    def forward(self, x1: Tensor, memory: Sequence[Entry], frame: Tensor, present: Tensor | None = None) -> Tensor:
        x1 = self._seen(x1, frame)
        queries = [*(entry["queries"] for entry in memory[1:]), self.query(x1)]
        carried: Tensor | None = None
        for entry, query, stage in zip(memory, queries, self.stages[-len(memory) :], strict=True):
            value = entry["values"] if carried is None else entry["values"] + carried
            carried = stage(product_attention(query, [entry["keys"]], [value], scaled=True))
        assert carried is not None
        return self.project(self.norm(carried + self.value(x1)))  # type: ignore[no-any-return]

    def _seen(self, x: Tensor, frame: Tensor) -> Tensor:
        return x if self.select is None else self.select(x, frame)


class PhasedConv(nn.Module):
    """1x1 convolution of one of `phases` groups of the channels, each with weights of its own, which take turns."""

    def __init__(self, channels: int, phases: int) -> None:
        super().__init__()
        if channels % phases:
            raise ValueError(f"{phases} phases do not divide {channels} channels")
        self.phases = phases
        convolutions = [nn.Conv2d(channels // phases, channels, 1) for _ in range(phases)]  # for their initial values
        self.weight = nn.Parameter(torch.stack([conv.weight.detach()[..., 0, 0] for conv in convolutions]))
        self.bias = nn.Parameter(torch.stack([conv.bias.detach() for conv in convolutions if conv.bias is not None]))

    def forward(self, x: Tensor, frame: Tensor) -> Tensor:
        """Map (N, C, h, w) of the frame in place `frame`, int64 (1,), of its clip to the same shape."""
        phase = frame % self.phases
        n, _, height, width = x.shape
        group = x.reshape(n, self.phases, -1, height, width).index_select(1, phase).squeeze(1)
        weight, bias = (table.index_select(0, phase).squeeze(0) for table in (self.weight, self.bias))
        return F.conv2d(group, weight[..., None, None], bias)


def _encoder(channels: int, width: int) -> nn.Sequential:
    """Build TMANet's encoder: 1x1 and 3x3 convolution, each with batch norm and ReLU."""
    return nn.Sequential(ConvNormReLU(channels, width), ConvNormReLU(width, width, 3))


def _deep_linear(channels: int, width: int) -> nn.Sequential:
    """Build TDNet's encoder of queries and keys: 1x1 convolution, batch norm, leaky ReLU, 1x1 convolution."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 1), BatchNorm(width), nn.LeakyReLU(inplace=True), nn.Conv2d(width, width, 1)
    )


def _projection(values: int, channels: int) -> nn.Module:
    """Build the way back to the cell's channels, where the values have others."""
    return nn.Identity() if values == channels else nn.Conv2d(values, channels, 1)
