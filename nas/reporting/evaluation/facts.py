"""Facts that a reader needs to judge or repeat an evaluation, as sentences by name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import torch

from cache.flow import SHORT_GAP
from nas.evaluation.data import EvaluationData
from nas.evaluation.network_cost import Timing
from nas.reporting.provenance import machine
from nas.settings.compute import Compute

SENTENCES: Final = {
    "scores": "at {scored}, pooled over all pixels, means over the classes that the labels have; ± is the standard "
    "deviation over seeds",
    "streamed": "{frames} labelled frames that have a past; the static network begins a clip (there are {clips}) and "
    "the head goes through it; what is not called otherwise is streamed",
    "windowed": "the last frames of {windows} windows of {lengths} frames",
    "TC": "temporal consistency of {pairs} pairs of frames at most {gap} frames of the video apart, without surfaces "
    "that left the frame or were covered; the labels' own score is what a network gets that is always right; one that "
    "is smooth and never sees small things can exceed it",
    "params": "of the whole network, the static decoder among them",
    "costs": "for frames of {timed}, encoder included, on the mean over {clip}, over those of the static network "
    "alone, which the per-frame network is, so that its own are 1; MACs are counted and the same on any machine; the "
    "state is a full memory in float32",
    "latency": "median of {repeats} single frames of {timed}, from image to logits at 1/8, batch norms folded into "
    "convolutions and, on a CPU, large blocks in strips, in turns with the static network",
    "computed on": "{device}, {precision}, {threads} CPU threads, torch {torch}; {machine}",
}


def evaluation_facts(
    data: EvaluationData, networks: Mapping[str, Sequence[Path]], timings: Sequence[Timing], compute: Compute
) -> dict[str, str]:
    """Fill in SENTENCES, and list the files of each network below them."""
    on_gpu = compute.device.type == "cuda"
    values = {
        "scored": "{}x{}".format(*data.size),
        "frames": len(data.scored),
        "clips": len(data.clips),
        "windows": len(data.windows),
        "lengths": " or ".join(map(str, sorted({len(window) for window in data.windows}))),
        "pairs": len(data.flows.pairs) // 2 if data.flows else 0,
        "gap": SHORT_GAP,
        "timed": " and of ".join("{}x{}".format(*timing.size) for timing in timings),
        "repeats": timings[0].repeats,
        "clip": _clip(timings[0].clip),
        "device": torch.cuda.get_device_name(compute.device) if on_gpu else compute.device,
        "precision": "float32" if compute.dtype is None else "bfloat16",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "machine": machine(),
    }
    facts = {name: sentence.format_map(values) for name, sentence in SENTENCES.items()}
    return facts | {name: ", ".join(map(str, paths)) for name, paths in networks.items()}


def _clip(frames: int | None) -> str:
    """Say what mean costs are over."""
    if frames is None:
        return "frames from one key frame to the next (later frames alone where there is only the first)"
    return f"a clip of {frames} frames, the first a key frame" if frames else "later frames"
