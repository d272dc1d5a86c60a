"""Gradients by replay: the kernels of a step on a GPU, recorded once as a CUDA graph and then launched together.

A step of a candidate is a thousand kernels of a few microseconds, and to launch them one by one takes several times as
long as to run them.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from cache.rows import Batch
from nas.training.fit import backward

log = logging.getLogger(__name__)

PLAIN: Final = 2  # first steps that are not recorded: libraries choose their ways in them
Loss = Callable[[Batch], Tensor]
Backward = Callable[[Loss, Batch], Tensor]


def replay_on(device: torch.device, parameters: Iterable[nn.Parameter]) -> Backward:
    """Choose how the gradients of `parameters` are made: by replay on a CUDA device, by `backward` elsewhere."""
    return Replay(list(parameters)) if device.type == "cuda" else backward


@dataclass(frozen=True)
class Recording:
    """Recorded step, with the tensors that it reads and writes, always the same."""

    graph: torch.cuda.CUDAGraph
    batch: Batch
    loss: Tensor
    gradients: Sequence[Tensor | None]

    def fits(self, batch: Batch) -> bool:
        """Tell whether it is of batches of this shape."""
        return _shapes(batch) == _shapes(self.batch)

    def replay(self, batch: Batch, parameters: Sequence[nn.Parameter]) -> Tensor:
        """Do the step on another batch: give the parameters its gradients, in the place of any, and return its loss."""
        for name, rows in batch.items():
            self.batch[name].copy_(rows)
        self.graph.replay()
        for parameter, gradient in zip(parameters, self.gradients, strict=True):
            parameter.grad = gradient
        return self.loss.clone()


class Replay:
    """Makes gradients as `fit.backward` does, from the third batch on by replay; of other shapes kernel by kernel.

    A step that waits for the device cannot be recorded: a warning says so, and no further one is.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replay steps of `parameters`, which are on a CUDA device and have no gradients whenever this is called."""
        self._parameters = parameters
        # All but replays happens on the stream that is recorded: autograd may not move from one to another.
        self._stream = torch.cuda.Stream(parameters[0].device)  # type: ignore[no-untyped-call]
        self._plain_steps = 0
        self._recording: Recording | None = None

    def __call__(self, loss_of: Loss, batch: Batch) -> Tensor:
        """Make the gradients of a batch, and return its loss.

        Args:
            loss_of: always the same, with the same kernels on the same tensors for all batches of one shape.
            batch: on the device.
        """
        if self._recording is None and self._plain_steps == PLAIN:  # tried once: without success one more is plain
            self._record(loss_of, batch)
        if self._recording is not None and self._recording.fits(batch):
            return self._recording.replay(batch, self._parameters)
        self._plain_steps += 1
        outside = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(outside)
        with torch.cuda.stream(self._stream):
            loss = backward(loss_of, batch)
        outside.wait_stream(self._stream)
        return loss

    def _record(self, loss_of: Loss, batch: Batch) -> None:
        own = {name: rows.clone() for name, rows in batch.items()}
        graph = torch.cuda.CUDAGraph()
        on_device = torch.cuda.device(self._stream.device)
        try:  # other threads, such as the one that reads rows ahead, may use the device meanwhile: `thread_local`
            with on_device, torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                loss = backward(loss_of, own)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            log.warning("steps are launched kernel by kernel, as they cannot be recorded: %s", reason)
        else:
            self._recording = Recording(graph, own, loss, [parameter.grad for parameter in self._parameters])
        for parameter in self._parameters:
            parameter.grad = None


def _shapes(batch: Batch) -> Mapping[str, tuple[torch.Size, torch.dtype]]:
    return {name: (rows.shape, rows.dtype) for name, rows in batch.items()}
