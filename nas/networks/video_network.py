"""VideoNetwork: a static network and a head as one network that runs frame by frame, and its file.

This is what retraining leaves, and what evaluation, segmenting a video and export take.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from torch import Tensor, nn

from baselines.per_frame import PerFrame
from cache.errors import DataError
from cache.static.network import StaticNetwork
from cache.tensor_files import DAMAGED, brief, load_tensors, load_weights, save_tensors
from nas.networks.heads import build_head
from searchspace.genotype import Genotype
from searchspace.modules.cell import DynamicCell, State

FORMAT: Final = "dyncell video network 1"  # change it when a key changes meaning; older files then refuse to load


class VideoNetwork(nn.Module):
    """The whole static network on the first frame of a clip; on later ones its encoder and the head.

    A per-frame head needs the decoder on every frame, and its classifier is the static network's own.
    """

    def __init__(self, static: StaticNetwork, head: DynamicCell | PerFrame) -> None:
        super().__init__()
        self.static, self.head = static, head
        if isinstance(head, PerFrame):
            static.classifier = head.classifier

    @property
    def classes(self) -> int:
        return self.static.classes

    def forward(self, images: Tensor, state: State | None) -> tuple[Tensor, State]:
        """The next frame of a clip: `first` where there is no memory yet, else `later`."""
        return self.first(images) if state is None else self.later(images, state)

    def first(self, images: Tensor) -> tuple[Tensor, State]:
        """The first frame of a clip.

        Args:
            images: normalised, (N, 3, H, W).

        Returns:
            Logits (N, classes, H/8, W/8), before upsampling, and the memory.
        """
        features = self.static.features(images)
        return self.static.classifier(features["dec"]), self.head.init_state(features)

    def later(self, images: Tensor, state: State, present: Tensor | None = None) -> tuple[Tensor, State]:
        """A later frame: `images` as in `first`, the memory that the frame before left, and `present` as in a cell."""
        if isinstance(self.head, PerFrame):
            return self.first(images)
        dec, state = self.head.step(self.static.encode(images), state, present)
        return self.head.classifier(dec), state


def save_video_network(path: Path, network: VideoNetwork, meta: Mapping[str, Any]) -> None:
    """Write a network and JSON-able facts about it, atomically.

    Args:
        path: of the file.
        network: with its weights.
        meta: `name` (of the trial or fixed point), `dataset`, `classes` (names), `colours` (RGB), `size` (working
            height and width), and what else a reader should know, such as scores.

    Raises:
        OSError: the folder cannot be written or the disk is full.
    """
    genotype = network.head.genotype.to_json() if isinstance(network.head, DynamicCell) else None
    static = {name: tensor for name, tensor in network.static.state_dict().items() if not name.startswith("auxiliary.")}
    parts = {"static": static, "head": network.head.state_dict()}
    weights = {part: {name: t.detach().cpu().contiguous() for name, t in held.items()} for part, held in parts.items()}
    facts = {"genotype": json.dumps(genotype), "meta": json.dumps(dict(meta))}
    save_tensors(path, {"format": FORMAT, "classes": network.classes, **facts, **weights})


def load_video_network(path: Path) -> tuple[VideoNetwork, dict[str, Any]]:
    """Read what `save_video_network` wrote: a network in eval mode on the CPU, and its facts.

    Raises:
        DataError: no such file, or it is not a video network, is damaged, or does not fit this version.
    """
    content = load_tensors(path)
    if content.get("format") != FORMAT:
        raise DataError(f"{path} is not a video network that this version wrote; make one with `python -m nas.retrain`")
    try:
        genotype = json.loads(content["genotype"])
        cell = None if genotype is None else Genotype.from_json(genotype)
        static = StaticNetwork(content["classes"], auxiliary=False)
        network = VideoNetwork(static, build_head(cell, static.channels, static.classes, seed=0))
        load_weights(network.static, content["static"])
        load_weights(network.head, content["head"])
        meta = dict(json.loads(content["meta"]))
    except DAMAGED as error:
        raise DataError(f"the video network {path} is damaged or of another version ({brief(error)})") from error
    return network.eval(), meta
