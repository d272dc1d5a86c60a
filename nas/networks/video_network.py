"""VideoNetwork: a static network and a head as one network that runs frame by frame, and its file.

This is what retraining leaves, and what evaluation, segmenting a video and export take.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from torch import Tensor, nn

from baselines.hold import Hold
from cache.errors import DataError
from cache.static.network import FEATURES, StaticNetwork, of_shape, shape_of, stored_weights
from cache.tensor_files import DAMAGED, brief, load_tensors, load_weights, save_tensors
from nas.networks.heads import Head, build_head, full_state, head_on
from nas.settings.commands import invocation
from nas.settings.config import is_refresh
from searchspace.genotype import Genotype
from searchspace.modules.cell import State

FORMAT: Final = "dyncell video network 1"  # change it when a key changes meaning; older files then refuse to load


class VideoNetwork(nn.Module):
    """The whole static network on key frames; on later ones the head, and what it needs of the static network.

    The first frame of a clip is a key frame, and every `refresh`-th after it. `Stream` runs a network so.

    The classifier of the per-frame network is the static network's own.
    """

    def __init__(self, static: StaticNetwork, head: Head, refresh: int = 0) -> None:
        """Join a static network and a head.

        Args:
            static: network of single frames.
            head: what takes the place of its decoder on later frames.
            refresh: frames from one key frame to the next; 0 has none after the first frame of a clip.
        """
        super().__init__()
        self.static, self.head, self.refresh = static, head, refresh
        if head.genotype is None:
            static.classifier = head.classifier

    @property
    def classes(self) -> int:
        return self.static.classes

    def first(self, images: Tensor) -> tuple[Tensor, State]:
        """Segment a key frame, such as the first of a clip.

        Args:
            images: normalised, (N, 3, H, W).

        Returns:
            Logits (N, classes, H/8, W/8), before upsampling, and the memory, which starts here.
        """
        features = self.static.features(images)
        return self.static.classifier(features["dec"]), self.head.init_state(features)

    def later(self, images: Tensor, state: State, present: Tensor | None = None) -> tuple[Tensor, State]:
        """Segment a later frame, of which nothing is computed that the head does not need.

        Args:
            images: as in `first`.
            state: what the frame before left.
            present: which slots of it have been filled, as in a cell.

        Returns:
            As `first`.
        """
        dec, state = self.head.step(self.static.features(images, self.head.needs), state, present)
        return self.head.classifier(dec), state

    def full_state(self, images: Tensor) -> State:
        """Fill the memory with as many frames as the head holds, all like `images` (N, 3, H, W)."""
        return full_state(self.head, self.static.features(images, {*FEATURES, *self.head.needs}))


def held(network: VideoNetwork) -> VideoNetwork:
    """Take the key frames of a network, and hold each one's answer until the next."""
    return VideoNetwork(network.static, Hold(network.static.classifier), network.refresh)


def on_every_frame(static: StaticNetwork) -> VideoNetwork:
    """Make the video network that is the static one on every frame."""
    return VideoNetwork(static, head_on(static, None, seed=0))


def save_video_network(path: Path, network: VideoNetwork, meta: Mapping[str, Any]) -> None:
    """Write a network and JSON-able facts about it, atomically.

    Args:
        path: of the file.
        network: with its weights.
        meta: `name` (of the trial or fixed point), `dataset`, `classes` (names), `colours` (RGB), `size` (working
            height and width), and what else a reader should know, such as scores. The network's `refresh` is added.

    Raises:
        OSError: the folder cannot be written or the disk is full.
    """
    genotype = network.head.genotype
    facts = {
        "genotype": json.dumps(genotype and genotype.to_json()),
        "meta": json.dumps({**meta, "refresh": network.refresh}),
    }
    head = {name: tensor.detach().cpu().contiguous() for name, tensor in network.head.state_dict().items()}
    weights = {"static": stored_weights(network.static), "head": head}
    save_tensors(path, {"format": FORMAT, **shape_of(network.static), **facts, **weights})


def load_video_network(path: Path) -> tuple[VideoNetwork, dict[str, Any]]:
    """Read what `save_video_network` wrote: a network in eval mode on the CPU, and its facts.

    Raises:
        DataError: no such file, or it is not a video network, is damaged, or does not fit this version.
    """
    content = load_tensors(path)
    if content.get("format") != FORMAT:
        raise DataError(
            f"{path} is not a video network that this version wrote; make one with `{invocation('retrain')}`"
        )
    try:
        genotype = json.loads(content["genotype"])
        cell = None if genotype is None else Genotype.from_json(genotype)
        static = of_shape(content)
        head = build_head(cell, static.channels, static.classes, seed=0)
        meta = dict(json.loads(content["meta"]))
        refresh = meta.get("refresh", 0)  # networks of before there were key frames were trained without
        if type(refresh) is not int or not is_refresh(refresh):
            raise ValueError(f"its refresh is {refresh!r}")
        network = VideoNetwork(static, head, refresh)
        load_weights(static, content["static"])
        load_weights(head, content["head"])
    except DataError:
        raise
    except DAMAGED as error:
        raise DataError(f"the video network {path} is damaged or of another version ({brief(error)})") from error
    return network.eval(), meta
