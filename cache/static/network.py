"""The static network: an encoder, a decoder and a classifier segment one frame; frozen, it feeds cells.

The decoder is `arch2`, or all three are those of a network of one's own.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final, Self

from torch import Tensor, nn
from torch.nn import functional

from cache.datasets.clips import VOID
from cache.errors import DataError
from cache.static.decoder import DECODED, Decoder
from cache.static.encoder import LAYERS
from cache.static.encoders import FIRST, build_encoder
from cache.static.own import OnGrid, OwnNetwork, three_by_three
from cache.static.sources import rebuild_own
from cache.tensor_files import DAMAGED, brief, load_tensors, load_weights, save_tensors

FORMAT: Final = "dyncell static network 1"  # change it when a key changes meaning; older files then refuse to load
CARRIERS: Final = {FORMAT: "weights", "dyncell video network 1": "static"}
"""Formats of files that a static network can be read from -> key of its weights: a video network has one in it."""
ITS_OWN: Final = ("dataset", "classes", "colours", "size")  # facts of a video network that are its static part's, too
DEC_CHANNELS: Final = 64
"""Number of channels of `dec`, in the dynamic-cell paper and in every checkpoint."""
FEATURES: Final = (*DECODED, "dec")
"""Features of a whole frame, all of which a head may see of a key frame."""
LOW: Final = tuple(f"low.{layer}" for layer in DECODED)
"""Features of a frame at half its size, which a head may see, too: the same encoder, a quarter of its work."""


class StaticNetwork(nn.Module):
    """Segments single frames. Logits and `dec` have stride 8; upsampling is the caller's."""

    decoder: Decoder | OnGrid

    def __init__(
        self, classes: int, auxiliary: bool = True, encoder: str = FIRST, own: OwnNetwork | None = None
    ) -> None:
        """Make a network, with random weights from torch's global generator where they are not one's own.

        Args:
            classes: of the segmentation, as many as a label map can hold beside `VOID`.
            auxiliary: give each decoder block a classifier of its own, for a better gradient in training only.
            encoder: name of the encoder.
            own: network to take instead, with its weights; it has no auxiliary heads.
        """
        super().__init__()
        if type(classes) is not int or not 1 <= classes <= VOID:
            raise ValueError(f"classes must be a whole number from 1 to {VOID}")
        self.classes, self.encoder_name = classes, encoder
        self.source: Mapping[str, Any] = own.source if own else {}
        """Source that a network of one's own can be made from again; nothing for one of ours."""
        heads = 0
        if own is not None:
            self.encoder, self.decoder = own.encoder, OnGrid(own.decoder, own.stride)
            self.classifier = three_by_three(own.classifier)
        else:
            self.encoder = build_encoder(encoder)
            self.decoder = Decoder(self.encoder.channels, DEC_CHANNELS)
            self.classifier = nn.Conv2d(DEC_CHANNELS, classes, 3, padding=1)
            heads = len(self.decoder.blocks) if auxiliary else 0
        self.channels = {layer: self.encoder.channels[layer] for layer in DECODED}
        """Number of channels of each feature."""
        self.channels["dec"] = self.classifier.in_channels
        self.auxiliary = nn.ModuleList(nn.Conv2d(DEC_CHANNELS, classes, 3, padding=1) for _ in range(heads))
        self._frozen = False

    def features(self, images: Tensor, needs: Collection[str] = FEATURES) -> dict[str, Tensor]:
        """Compute some features of frames and no more: the encoder stops at the deepest layer that they take.

        Args:
            images: normalised, (N, 3, H, W).
            needs: names of features, from `FEATURES` and `LOW`.

        Returns:
            The features by name, each (N, its channels, H over its stride, W over its stride); that of `dec` is 8, and
            those of `LOW` have half of the layers' grids, rounded up.

        Raises:
            DataError: the images are too small to be halved, and that is needed.
        """
        depth = deepest(needs)
        return self._chosen(self.encoder(images, depth) if depth else {}, needs) | self._low(images, needs)

    def clip_features(self, images: Tensor, needs: Collection[str]) -> list[dict[str, Tensor]]:
        """Compute what a head reads of some frames in time order: all features of the first, `needs` of the others.

        All frames pass the encoder at once, as far as all need it.

        Args:
            images: normalised, (T, N, 3, H, W), two frames or more.
            needs: names of features of the later frames.

        Raises:
            DataError: as `features`.
        """
        depth, count = deepest(needs), len(images)
        shared = _by_frame(self.encoder(images.flatten(0, 1), depth), count) if depth else [{} for _ in images]
        whole = self.encoder.deeper(shared[0]) if depth else self.encoder(images[0])
        low = _by_frame(self._low(images[1:].flatten(0, 1), needs), count - 1)
        later = [self._chosen(frame, needs) | halved for frame, halved in zip(shared[1:], low, strict=True)]
        return [self._chosen(whole, FEATURES), *later]

    def _low(self, images: Tensor, needs: Collection[str]) -> dict[str, Tensor]:
        """Compute those of `LOW` that are needed, none of which may be."""
        layers = {name.removeprefix("low."): name for name in LOW if name in needs}
        depth = deepest(layers)
        if depth is None:
            return {}
        encoded = self.encoder(halved(images), depth)
        return {name: encoded[layer] for layer, name in layers.items()}

    def _chosen(self, encoded: Mapping[str, Tensor], needs: Collection[str]) -> dict[str, Tensor]:
        """Take the features that are needed, from layers that suffice for them."""
        chosen = {layer: encoded[layer] for layer in DECODED if layer in needs}
        return chosen | {"dec": self.decoder(encoded)} if "dec" in needs else chosen

    def forward(self, images: Tensor) -> Tensor:
        """Segment normalised images (N, 3, H, W): logits (N, classes, H/8, W/8)."""
        logits: Tensor = self.classifier(self.decoder(self.encoder(images)))
        return logits

    def forward_with_auxiliary(self, images: Tensor) -> tuple[Tensor, ...]:
        """Give logits as `forward` does, then those of the auxiliary heads at strides 8, 8 and 16."""
        if not isinstance(self.decoder, Decoder):
            return (self(images),)
        blocks = self.decoder.block_outputs(self.encoder(images))
        main = self.classifier(self.decoder.merged(blocks))
        return main, *(head(block) for head, block in zip(self.auxiliary, blocks, strict=False))

    def freeze(self) -> Self:
        """Stop all gradients and stay in eval mode for ever: no later `train()` moves batch-norm statistics."""
        self._frozen = True
        self.requires_grad_(False)
        return self.eval()

    def train(self, mode: bool = True) -> Self:
        return super().train(mode and not self._frozen)


def deepest(needs: Collection[str]) -> str | None:
    """Find the layer up to which the encoder has to run over whole frames; None if it need not."""
    layers = set(DECODED if "dec" in needs else needs)
    return next((layer for layer in reversed(LAYERS) if layer in layers), None)


def halved(images: Tensor) -> Tensor:
    """Resize images (N, C, H, W) to half their height and width, rounded up, by antialiased bilinear interpolation.

    Raises:
        DataError: a side has one pixel.
    """
    height, width = images.shape[-2:]
    if min(height, width) < 2:
        raise DataError(f"frames of {height}x{width} cannot be halved, as this network's cell asks; give larger ones")
    size = (-(-height // 2), -(-width // 2))
    return functional.interpolate(images, size=size, mode="bilinear", antialias=True, align_corners=False)


def _by_frame(features: Mapping[str, Tensor], frames: int) -> list[dict[str, Tensor]]:
    """Split features of T frames of N clips, (T * N, ...), into T of (N, ...)."""
    split = {name: tensor.chunk(frames) for name, tensor in features.items()}
    return [{name: tensors[frame] for name, tensors in split.items()} for frame in range(frames)]


def save_checkpoint(path: Path, network: StaticNetwork, meta: Mapping[str, Any]) -> None:
    """Write a network without its auxiliary heads, and JSON-able facts about it.

    Raises:
        OSError: as `save_tensors`.
    """
    content = {"format": FORMAT, "meta": json.dumps(dict(meta)), "weights": stored_weights(network)}
    save_tensors(path, content | shape_of(network))


def load_checkpoint(path: Path, classes: int | None = None) -> tuple[StaticNetwork, dict[str, Any]]:
    """Read what `save_checkpoint` wrote: a network without auxiliary heads, and its facts.

    Of a video network, whose scores are its head's, the static part is read with the facts that hold for it.

    Args:
        path: of the file.
        classes: that the network must have, if given.

    Raises:
        DataError: no such file, not a checkpoint, other shapes, or another number of classes.
    """
    content = load_tensors(path)
    if (form := content.get("format")) not in CARRIERS:
        raise DataError(f"{path} is not a static network that this version wrote; make one with `dyncell pretrain`")
    try:
        network = of_shape(content)
        load_weights(network, content[CARRIERS[form]])
        meta = dict(json.loads(content["meta"]))
    except DataError:
        raise
    except DAMAGED as error:
        raise DataError(f"the static network {path} is damaged or of another version ({brief(error)})") from error
    if classes not in (None, network.classes):
        raise DataError(
            f"the static network {path} has {network.classes} classes, but the data has {classes}; "
            "give the checkpoint of this data set, or none to train one"
        )
    return network, meta if form == FORMAT else {name: meta[name] for name in ITS_OWN if name in meta}


def weights_fingerprint(network: StaticNetwork) -> str:
    """Hex digest of all that `forward` depends on; it survives saving, moving to a device and freezing."""
    digest = hashlib.sha256()
    if network.encoder_name != FIRST:  # which fingerprints of before it had a name do not know
        digest.update(f"{network.encoder_name}\n".encode())
    if network.source:
        digest.update(json.dumps(network.source, sort_keys=True).encode())
    for name, tensor in sorted(stored_weights(network).items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def shape_of(network: StaticNetwork) -> dict[str, Any]:
    """List what a file has to hold beside the weights, so that `of_shape` can make a network for them."""
    if network.source:
        return {"classes": network.classes, "network": json.dumps(network.source)}
    return {"classes": network.classes, "encoder": network.encoder_name}


def of_shape(content: Mapping[str, Any]) -> StaticNetwork:
    """Make a network without auxiliary heads, with random weights, for what a file holds.

    Raises:
        ValueError: a number of classes, an encoder or a network of one's own that there cannot be.
        DataError: as `rebuild_own`.
    """
    if "network" in content:
        own = rebuild_own(json.loads(content["network"]))
        return StaticNetwork(content["classes"], auxiliary=False, own=own)
    return StaticNetwork(content["classes"], auxiliary=False, encoder=content.get("encoder", FIRST))


def stored_weights(network: StaticNetwork) -> dict[str, Tensor]:
    """Copy all weights and statistics but those of the auxiliary heads to the CPU, by name."""
    weights = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("auxiliary.")}
    return {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
