"""A video network as two ONNX graphs, of a key frame, such as the first of a clip, and of a later one.

A graph keeps nothing between frames, so the memory goes in and out, each tensor under a name such as `slot3.dec` or
`slot0.block2.keys`, the newest slot last. All slots are there from the first frame on: those of frames that have not
been yet hold zeros, and the later graph leaves them out, counting frames by the newest slot's `frame`.

Batch 1. Height and width are open where every piece of the cell allows it, else those of one frame size.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from cache.static.network import FEATURES
from nas.networks.heads import full_state
from nas.networks.video_network import VideoNetwork
from nas.settings.errors import RunError
from searchspace.modules.cell import State

OPSET: Final = 18
NEXT: Final = "next."
"""Output `next.slot3.dec` of either graph is the later graph's input `slot3.dec` at the next frame."""


UNROLLED: Final = frozenset({"local_correlation"})
"""Aggregations that are cut into tiles, whose number and places stand in a graph."""


@dataclass(frozen=True)
class Graphs:
    """Two ONNX models, serialised."""

    first: bytes
    """`images` (1, 3, H, W) to `logits` (1, classes, H/8, W/8), and the memory."""
    later: bytes
    """`images` and the memory to `logits` and the memory."""


class _First(nn.Module):
    def __init__(self, network: VideoNetwork, empty: State | None) -> None:
        super().__init__()
        self._network, self._empty = network, empty

    def forward(self, images: Tensor) -> tuple[Tensor, State]:
        static, head = self._network.static, self._network.head
        features = static.features(images, {*FEATURES, *head.needs})
        empty = self._empty if self._empty is not None else _zeros(full_state(head, features)[:-1])
        return static.classifier(features["dec"]), (*empty, *head.init_state(features))


class _Later(nn.Module):
    def __init__(self, network: VideoNetwork) -> None:
        super().__init__()
        self._network = network

    def forward(self, images: Tensor, state: State) -> tuple[Tensor, State]:
        present = None
        if len(state) > 1:  # the newest slot, of frame t, is one of t + 1 that have been
            present = torch.arange(len(state), 0, -1) <= state[-1]["frame"] + 1
        return self._network.later(images, state, present)


def why_one_size(network: VideoNetwork) -> str | None:
    """Name what ties the graphs of a network to one frame size, as far as that is known beforehand."""
    blocks = network.head.genotype.blocks if network.head.genotype else ()
    used = sorted({block.aggregation.name for block in blocks} & UNROLLED)
    used += sorted({name for part in network.static.modules() if (name := _tied_to_a_size(part))})
    return f"{' and '.join(used)} is written out for one size" if used else None


def _tied_to_a_size(part: nn.Module) -> str | None:
    """Name a part of a network of one's own over whose open sizes the exporter thinks for longer than anybody waits."""
    if isinstance(part, nn.AdaptiveAvgPool2d) and part.output_size not in (1, (1, 1)):
        return "pooling to a fixed grid"
    name: str | None = getattr(part, "tied_to_a_size", None)
    return name


@torch.no_grad()
def export_graphs(network: VideoNetwork, size: tuple[int, int], any_size: bool = False) -> Graphs:
    """Translate a network.

    Args:
        network: in eval mode, on the CPU.
        size: height and width of the frames.
        any_size: leave height and width open, so that `size` is an example.

    Raises:
        RunError: an operation cannot be translated, and its name; or a size cannot be left open.
    """
    images = torch.zeros(1, 3, *size)
    state = network.full_state(images)
    names = [f"slot{place}.{name}" for place, slot in enumerate(state) for name in slot]
    empty = None if any_size else _zeros(state[:-1])
    first = _translated(_First(network, empty), (images,), ["images"], names, any_size)
    if not state:  # what remembers nothing does the same on every frame
        return Graphs(first, first)
    return Graphs(first, _translated(_Later(network), (images, state), ["images", *names], names, any_size))


def _zeros(slots: State) -> State:
    return tuple({name: tensor.new_zeros(tensor.shape) for name, tensor in slot.items()} for slot in slots)


def _translated(
    module: nn.Module, arguments: tuple[Any, ...], inputs: list[str], memory: list[str], any_size: bool
) -> bytes:
    outputs = ["logits", *(NEXT + name for name in memory)]
    shapes = _open_sides(arguments, inputs) if any_size else None
    try:
        with _quiet():
            program = torch.onnx.export(
                module.eval(),
                arguments,
                input_names=inputs,
                output_names=outputs,
                opset_version=OPSET,
                dynamic_shapes=shapes,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        reason = str(cause).splitlines()[0]  # names the operation; the rest is advice to developers of the exporter
        if any_size and "inferred ranges" in reason:
            raise RunError("a piece of its cell is traced for one size, says the exporter") from error
        raise RunError(f"this network cannot be written as ONNX: {reason}") from error
    assert program is not None
    model = program.model_proto
    for node in model.graph.node:
        del node.metadata_props[:]  # the Python stack that made it, with the paths of this machine
    serialised: bytes = model.SerializeToString()
    return serialised


def _open_sides(arguments: tuple[Any, ...], inputs: list[str]) -> Any:  # noqa: ANN401 - a tree like the arguments
    """Leave height and width open, under names; a side of one pixel, as of a pooled map, is one in every frame."""
    prefixes = iter(["", *(f"{name}_" for name in inputs[1:])])

    def sides(tensor: Tensor) -> dict[int, str]:
        prefix = next(prefixes)
        names = {2: f"{prefix}height", 3: f"{prefix}width"}
        return {side: name for side, name in names.items() if tensor.ndim == 4 and tensor.shape[side] > 1}

    return tree_map(sides, arguments)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the exporter says of its own work off the terminal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
