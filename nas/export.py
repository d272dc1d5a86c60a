"""`python -m nas.export`: a trained network as ONNX, for programs without PyTorch."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from cache.atomic import atomic_path, write_text
from cache.datasets.shapes import Shapes
from cache.images import IMAGENET_MEAN, IMAGENET_STD
from nas.networks.onnx_example import PROGRAM
from nas.settings.command_line import run_command
from nas.settings.config import REFRESH_RULE, is_refresh
from nas.settings.errors import RunError, require

if TYPE_CHECKING:
    from nas.networks.onnx_graphs import Graphs
    from nas.networks.video_network import VideoNetwork

log = logging.getLogger(__name__)

CHECKED_FRAMES: Final = 6
"""Smallest number of frames to compare on; more for a memory that takes longer to fill."""
OTHER: Final = (20, 12)
"""Pixels by which height and width of a second check differ: sides that the strides round in another way."""
USE: Final = (
    "Run first.onnx on the first frame of a clip, again on every `refresh`-th frame after it (0: on none), and after a "
    "cut; run later.onnx on all others, whose inputs X are the outputs next.X of the frame before, of either graph. "
    "Resize the logits to the frame (bilinear, half-pixel centres), then take the arg max: run_onnx.py does it all."
)
RESIZE: Final = (
    "To `size`, or where it is null until the shorter side is `shorter_side`. Bilinear, averaging over what is covered "
    "when shrinking, as Pillow does; other libraries' defaults skip pixels there"
)


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Write a trained network as two ONNX graphs, `first.onnx` and `later.onnx`, with `export.json` on their use.

    The memory goes in and out of them under names. They are run by onnxruntime and compared with PyTorch over a clip
    before anything is written. `run_onnx.py` is a program that uses them. They take frames of any size where every
    piece of the cell allows it; otherwise of one size, and why is said.
    """

    checkpoint: Path
    """The network.pt of nas.retrain; or of nas.pretrain, which segments each frame on its own; or a run, for the one of
    its retrained cells that scores best on the validation list."""
    output: Path
    """Folder for the four files."""
    height: int | None = None
    """Height that the network works at, in pixels; by default that of its training. Graphs of any size take their
    shorter side from it."""
    width: int | None = None
    """Width that the network works at, in pixels; goes with --height."""
    refresh: int | None = None
    """Frames from one key frame, for which `first.onnx` is run, to the next; 0 has none after the first of a clip.
    By default as in training."""
    frames: str | None = None
    """Frames to compare on: a folder of frames, a quoted pattern such as 'clip/*.png' or a video file; by default a
    made-up clip. It is brought to the size of the graphs."""

    def __post_init__(self) -> None:
        require(is_refresh(self.refresh), REFRESH_RULE, self.refresh)


def main(arguments: Arguments) -> None:
    """Translate, compare, write. Raises RunError or DataError; nothing is written then."""
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise RunError(f"{' and '.join(missing)} cannot be found; pip install 'dyncell[export]'")
    # These load torch, for which --help and a bad flag need not wait.
    from nas.networks.loading import load_network
    from nas.networks.onnx_check import signature
    from nas.networks.onnx_graphs import OPSET
    from nas.training.video.results import best_checkpoint

    network, meta = load_network(best_checkpoint(arguments.checkpoint), refresh=arguments.refresh)
    size = _size(arguments, meta)
    frames = _images(arguments.frames, _frames_to_check(network))
    exported = _checked_graphs(network, size, frames)
    log.info("onnxruntime and PyTorch agree to %.1e over %d frames", exported.largest_difference, len(frames))
    graph_of = {"first.onnx": exported.graphs.first, "later.onnx": exported.graphs.later}
    about = _facts(meta, size, exported.one_size_because) | {
        "refresh": network.refresh,
        "opset": OPSET,
        "graphs": {name: signature(graph) for name, graph in graph_of.items()},
        "checked": {"frames": len(frames), "largest_difference": exported.largest_difference},
    }
    for name, graph in graph_of.items():
        with atomic_path(arguments.output / name) as path:
            path.write_bytes(graph)
    write_text(arguments.output / "export.json", json.dumps(about, indent=1) + "\n")
    write_text(arguments.output / "run_onnx.py", PROGRAM)
    print(arguments.output)


@dataclass(frozen=True)
class _Exported:
    """Graphs that say what PyTorch says."""

    graphs: "Graphs"
    largest_difference: float
    one_size_because: str | None
    """Why they take frames of one size; None if of any."""


def _checked_graphs(network: "VideoNetwork", size: tuple[int, int], frames: Sequence[NDArray[np.uint8]]) -> _Exported:
    """Translate a network and compare the graphs with it: for frames of any size if that can be done, else of `size`.

    Raises:
        RunError: an operation cannot be translated, or the graphs say something else.
    """
    from nas.networks.onnx_check import check
    from nas.networks.onnx_graphs import export_graphs, why_one_size

    def difference(graphs: "Graphs", *sizes: tuple[int, int]) -> float:
        return max(check(graphs, network, [_network_input(frame, each) for frame in frames]) for each in sizes)

    because = why_one_size(network)
    if because is None:
        try:
            graphs = export_graphs(network, size, any_size=True)
            another = size[0] + OTHER[0], size[1] + OTHER[1]
            return _Exported(graphs, difference(graphs, size, another), None)
        except RunError as error:
            because = str(error)
    log.warning("the graphs take frames of %dx%d only: %s", *size, because)
    graphs = export_graphs(network, size)
    return _Exported(graphs, difference(graphs, size), because)


def _size(arguments: Arguments, meta: Mapping[str, Any]) -> tuple[int, int]:
    if arguments.height is None and arguments.width is None:
        if "size" not in meta:
            raise RunError(f"{arguments.checkpoint} does not say its size; give --height and --width")
        height, width = meta["size"]
        return height, width
    if arguments.height is None or arguments.width is None:
        raise RunError("--height and --width go together; give both, or none for the size that was trained on")
    if min(arguments.height, arguments.width) < 1:
        raise RunError(f"frames cannot be {arguments.height} x {arguments.width} pixels")
    return arguments.height, arguments.width


def _facts(meta: Mapping[str, Any], size: tuple[int, int], one_size_because: str | None) -> dict[str, Any]:
    """Collect what a program has to know to use the graphs."""
    values = {"values": "RGB, (pixel / 255 - mean) / std", "mean": IMAGENET_MEAN, "std": IMAGENET_STD}
    sizes = {
        "size": size if one_size_because else None,
        "shorter_side": min(size),
        "one_size_because": one_size_because,
    }
    named = {key: meta.get(key) for key in ("name", "dataset", "classes", "colours")}
    return {**named, "use": USE, "images": {**sizes, "resize": RESIZE, **values}}


def _frames_to_check(network: "VideoNetwork") -> int:
    """Count the frames to compare on, so many that the memory is full on some, and some follow a second key frame."""
    return max(CHECKED_FRAMES, network.head.slots + 2, network.refresh + 2)


def _images(source: str | None, count: int) -> list[NDArray[np.uint8]]:
    """Read the first `count` frames of a clip, each (H, W, 3), of any size."""
    from cache.recording import open_recording  # loads OpenCV

    if source is None:
        shapes = Shapes()
        return [shapes.image(frame) for frame in shapes.frames("val")[:count]]
    images = [image for _, image in islice(open_recording(source).readable(skip=True), count)]
    if len(images) < count:
        raise RunError(f"--frames {source} has {len(images)} frames, but the comparison takes {count}")
    return images


def _network_input(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float32]:
    """Make the network's input (1, 3, H, W) of an image."""
    from cache.frames import network_input  # loads torch

    return np.ascontiguousarray(network_input([image], size, "cpu").numpy())


if __name__ == "__main__":
    run_command("nas.export", Arguments, None, main)
