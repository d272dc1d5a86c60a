"""Exported graphs run by onnxruntime, as a program without PyTorch would run them, and compared with PyTorch."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort

from nas.networks.key_frames import Stream, is_key_frame
from nas.networks.onnx_graphs import NEXT, Graphs
from nas.networks.video_network import VideoNetwork
from nas.settings.errors import RunError

TOLERANCE: Final = 1e-3
"""Largest difference of logits that counts as agreement."""
Image = NDArray[np.float32]  # normalised, (1, 3, H, W)


def signature(graph: bytes) -> dict[str, dict[str, dict[str, Any]]]:
    """Say name, type and shape of what goes in and out, e.g. `{"inputs": {"images": {"type": "tensor(float)", ...`."""
    session = _session(graph)
    sides = {"inputs": session.get_inputs(), "outputs": session.get_outputs()}
    return {side: {each.name: {"type": each.type, "shape": each.shape} for each in sides[side]} for side in sides}


def run_graphs(graphs: Graphs, clip: Sequence[Image], refresh: int = 0) -> Iterator[Image]:
    """Run graphs over a clip, whose key frames follow `refresh`; yield each frame's logits (1, classes, H/8, W/8)."""
    first, later = _session(graphs.first), _session(graphs.later)
    memory: Mapping[str, NDArray[Any]] = {}
    for place, images in enumerate(clip):
        key = is_key_frame(place, refresh)
        session, remembered = (first, {}) if key else (later, memory)
        names = [output.name for output in session.get_outputs()]
        outputs = dict(zip(names, session.run(None, {"images": images, **remembered}), strict=True))
        yield outputs.pop("logits")
        memory = {name.removeprefix(NEXT): tensor for name, tensor in outputs.items()}


@torch.no_grad()
def check(graphs: Graphs, network: VideoNetwork, clip: Sequence[Image]) -> float:
    """Compare the graphs with the network, whose memory has no empty slots, over a clip.

    Returns:
        The largest absolute difference of the logits.

    Raises:
        RunError: it is more than `TOLERANCE`, or there are logits that are no numbers; or onnxruntime cannot run the
            graphs, and why not.
    """
    try:
        return _largest_difference(graphs, network, clip)
    except (ort.Fail, ort.InvalidArgument, ort.InvalidGraph, ort.NotImplemented, ort.RuntimeException) as error:
        raise RunError(f"onnxruntime cannot run what was exported: {str(error).splitlines()[0]}") from error


def _largest_difference(graphs: Graphs, network: VideoNetwork, clip: Sequence[Image]) -> float:
    largest, stream = 0.0, Stream(network)
    for place, (images, logits) in enumerate(zip(clip, run_graphs(graphs, clip, network.refresh), strict=True)):
        expected = stream(torch.from_numpy(images))
        difference = float(np.abs(logits - expected.numpy()).max())
        if not difference <= TOLERANCE:  # NaN, too
            raise RunError(
                f"the graphs' logits differ from PyTorch's by {difference:.1e} at frame {place}; {TOLERANCE} is allowed"
            )
        largest = max(largest, difference)
    return largest


def _session(graph: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors; it warns of what it tidies up
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
