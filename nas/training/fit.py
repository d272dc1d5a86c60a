"""The one training loop: static networks, candidates and fixed points all learn here."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from nas.settings.errors import NonFiniteError

B = TypeVar("B")  # a batch, whatever the caller makes of it


def backward(loss_of: Callable[[B], Tensor], batch: B) -> Tensor:
    """Add the gradients of a batch's loss to those that are there, and return the loss."""
    loss = loss_of(batch)
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.detach()


def backward_in_parts(split: Callable[[B], Iterable[B]], loss_of: Callable[[B], Tensor], batch: B) -> Tensor:
    """Do as `backward` on parts of a batch, one at a time, whose losses add up to its loss, to save memory."""
    return torch.stack([backward(loss_of, part) for part in split(batch)]).sum()


def fit(
    loss_of: Callable[[B], Tensor],
    batches: Callable[[int], Iterable[B]],
    optimizers: Sequence[Optimizer],
    *,
    epochs: range,
    after_epoch: Callable[[int, float], bool] = lambda epoch, loss: True,
    schedulers: Sequence[LRScheduler] = (),
    clip_norm: float = math.inf,
    backward: Callable[[Callable[[B], Tensor], B], Tensor] = backward,
) -> float:
    """Minimise `loss_of` over `epochs`, in place.

    Args:
        loss_of: forward pass of one batch to a scalar mean loss, in train mode, under the caller's autocast.
        batches: the batches of an epoch, by its number; the caller seeds their order with it.
        optimizers: stepped together, each owning its own parameters; `fused`, as these refuse a step themselves that is
            not finite, so that the device is waited for once an epoch and not at every step.
        epochs: numbers of the epochs to run; a resumed training starts later.
        after_epoch: called with the epoch's number and mean loss; training goes on while it returns True.
        schedulers: advanced after every step.
        clip_norm: gradients of all parameters together are shortened to this Euclidean length.
        backward: way of making the gradients of a batch and its loss; parameters have none when it is called.

    Returns:
        The mean loss of the last epoch run; NaN if there was none.

    Raises:
        NonFiniteError: a loss or gradient is not finite; parameters are as they were before that step.
        ValueError: an optimiser is not `fused`.
    """
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    parameters = [parameter for group in groups for parameter in group["params"]]
    if not all(group.get("fused") for group in groups):
        raise ValueError("optimizers must be made with fused=True: others take steps that are not finite")
    mean = math.nan
    for epoch in epochs:
        losses = []
        finite = torch.ones((), dtype=torch.bool, device=parameters[0].device)
        for batch in batches(epoch):
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)
            loss = backward(loss_of, batch)
            norm = clip_grad_norm_(parameters, clip_norm)
            finite = finite & torch.isfinite(loss + norm)
            for optimizer in optimizers:
                optimizer.found_inf = (~finite).float()  # type: ignore[attr-defined]  # as `GradScaler` has it
                optimizer.step()
            for scheduler in schedulers:
                scheduler.step()
            losses.append(loss)
        if not finite:
            raise NonFiniteError(f"the loss or its gradient became infinite or NaN in epoch {epoch}")
        mean = torch.stack(losses).mean().item()
        if not after_epoch(epoch, mean):
            break
    return mean
