"""Stages of the backbones of Hugging Face transformers, each from a map (N, C, h, w) to a map."""

from collections.abc import Callable
from typing import Final

from torch import Tensor, nn
from torch.nn import functional

from cache.static.encoder import LAYERS

Parts = tuple[nn.Module, list[nn.Module]]  # the stem, and four stages


class PyramidStage(nn.Module):
    """A stage of a PVTv2, which gives tokens and says how high and wide they lie."""

    def __init__(self, stage: nn.Module) -> None:
        super().__init__()
        self.inner = stage

    def forward(self, x: Tensor) -> Tensor:
        (tokens, *_), height, width = self.inner(x, False)
        return as_map(tokens, height, width)


class WindowStage(nn.Module):
    """A stage of a Swin transformer, behind what halves the map of the stage before it."""

    tied_to_a_size = "attention in windows"
    """Name of the part of which an ONNX graph can only be made for frames of one size."""

    def __init__(self, merging: nn.Module | None, stage: nn.Module) -> None:
        super().__init__()
        self.merging, self.inner = merging, stage
        stage.downsample = None  # type: ignore[assignment]  # the next stage has it

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        tokens = x.flatten(2).transpose(1, 2)
        if self.merging is not None:
            tokens = self.merging(tokens, (height, width))
            height, width = (height + 1) // 2, (width + 1) // 2
        tokens, *_ = self.inner(tokens, (height, width), always_partition=True)
        return as_map(tokens, height, width)


class WindowStem(nn.Module):
    """The patches of a Swin transformer."""

    def __init__(self, embeddings: nn.Module) -> None:
        super().__init__()
        self.inner = embeddings

    def forward(self, images: Tensor) -> Tensor:
        tokens, (height, width) = self.inner(images)
        return as_map(tokens, height, width)


def as_map(tokens: Tensor, height: int, width: int) -> Tensor:
    """Lay tokens (N, height * width, C) out as a map (N, C, height, width)."""
    return tokens.transpose(1, 2).reshape(len(tokens), -1, height, width)


def parts_of(model: nn.Module, kind: str) -> Parts:
    """Take a backbone apart.

    Args:
        model: of any type of transformers.
        kind: its type, such as `resnet`.

    Raises:
        ValueError: it has no list of four stages.
    """
    return BY_KIND.get(kind, _in_a_row)(model)


def _in_a_row(model: nn.Module) -> Parts:
    """Take the one list of four apart, and for the stem what the model holds before it."""
    lists = (name for name, part in model.named_modules() if isinstance(part, nn.ModuleList) and len(part) == 4)
    path = next(lists, None)
    if path is None:
        raise ValueError(f"it has no {len(LAYERS)} stages in a row")
    stem: nn.Module = nn.Identity()
    trunk = model
    for part in path.split("."):
        name, child = next(trunk.named_children())
        if name != part:
            stem = child
            break
        trunk = child
    return stem, list(model.get_submodule(path).children())


def _pyramid(model: nn.Module) -> Parts:
    stem, stages = _in_a_row(model)
    return stem, [PyramidStage(stage) for stage in stages]


def _windows(model: nn.Module) -> Parts:
    stages = list(model.get_submodule("swin.encoder.layers").children())
    mergings = [None, *(stage.downsample for stage in stages[:-1])]
    joined = [WindowStage(merging, stage) for merging, stage in zip(mergings, stages, strict=True)]  # type: ignore[arg-type]
    return WindowStem(model.get_submodule("swin.embeddings")), list(joined)


BY_KIND: Final[dict[str, Callable[[nn.Module], Parts]]] = {"pvt_v2": _pyramid, "swin": _windows}
"""Types of backbone whose stages are not maps in a row."""


def cuts_patches(stage: nn.Module) -> bool:
    """Tell whether a convolution cuts its input into patches, so that what is left over at an edge would be lost."""
    convolutions = (part for part in stage.modules() if isinstance(part, nn.Conv2d))
    return any(conv.kernel_size == conv.stride != (1, 1) for conv in convolutions)


def padded(x: Tensor, step: int) -> Tensor:
    """Add zeros below and on the right of a map, so that height and width are multiples of `step`."""
    height, width = x.shape[-2:]
    return functional.pad(x, (0, -width % step, 0, -height % step))
