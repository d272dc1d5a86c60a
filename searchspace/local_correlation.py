"""Local correlation: attention of each position over a window around the same position of every slot of a memory."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def local_correlation(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    window: int,
    masked: bool = False,
    joint: bool = True,
    present: Tensor | None = None,
) -> Tensor:
    """Softmax of the products of a query and the keys of its windows, times the values there.

    Args:
        query: (N, d, h, w).
        keys: (N, T, d, h, w), slots newest last.
        values: (N, T, c, h, w).
        window: full side of the window, odd; it may be larger than the map.
        masked: leave positions outside the map out. Otherwise they take part with logit 0 and value 0, as zero padding
            has it in LMANet's published code, which weakens the read near borders.
        joint: one softmax over slots and window. Otherwise one for each slot (the paper's eq. 4), and the reads add up.
        present: which slots count, bool (T,); None for all.

    Returns:
        (N, c, h, w).
    """
    n, slots, depth, height, width = keys.shape
    radius = window // 2
    k, v = (
        F.unfold(x.flatten(0, 1), window, padding=radius).view(n, slots, -1, height * width) for x in (keys, values)
    )
    k, v = k.unflatten(2, (depth, -1)), v.unflatten(2, (values.shape[2], -1))
    logits = torch.einsum("ndp,ntdkp->ntkp", query.flatten(2), k)
    if masked:
        inside = F.unfold(torch.ones_like(query[:1, :1]), window, padding=radius) > 0
        logits = logits.masked_fill(~inside[:, None], float("-inf"))
    if present is not None:
        logits = logits.masked_fill(~present[:, None, None], float("-inf"))
    weights = logits.flatten(1, 2).softmax(1).view_as(logits) if joint else logits.softmax(2).nan_to_num()
    return torch.einsum("ntkp,ntckp->ncp", weights, v).unflatten(2, (height, width))
