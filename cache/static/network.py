"""The static network: MobileNet-v2, the `arch2` decoder and a classifier segment one frame; frozen, it feeds cells."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from torch import Tensor, nn

from cache.datasets.clips import VOID
from cache.errors import DataError
from cache.static.decoder import Decoder
from cache.static.mobilenet_v2 import MobileNetV2
from cache.tensor_files import DAMAGED, brief, load_tensors, load_weights, save_tensors

FORMAT: Final = "dyncell static network 1"  # change it when a key changes meaning; older files then refuse to load
CHANNELS: Final = 64
"""Of `dec`, in the dynamic-cell paper and in every checkpoint."""


class StaticNetwork(nn.Module):
    """Segments single frames. Logits and `dec` have stride 8; upsampling is the caller's."""

    def __init__(self, classes: int, channels: int = CHANNELS, auxiliary: bool = True) -> None:
        """Make a network with random weights from torch's global generator.

        Args:
            classes: of the segmentation, as many as a label map can hold beside `VOID`.
            channels: of the decoder.
            auxiliary: give each decoder block a classifier of its own, for a better gradient in training only.
        """
        super().__init__()
        if type(classes) is not int or not 1 <= classes <= VOID:
            raise ValueError(f"classes must be a whole number from 1 to {VOID}")
        self.classes, self.channels = classes, channels
        self.encoder = MobileNetV2()
        self.decoder = Decoder(channels)
        self.classifier = nn.Conv2d(channels, classes, 3, padding=1)
        heads = len(self.decoder.blocks) if auxiliary else 0
        self.auxiliary = nn.ModuleList(nn.Conv2d(channels, classes, 3, padding=1) for _ in range(heads))
        self._frozen = False

    def encode(self, images: Tensor) -> dict[str, Tensor]:
        """Normalised images (N, 3, H, W) to `layer1` ... `layer4`; see `MobileNetV2.forward`."""
        encoded: dict[str, Tensor] = self.encoder(images)
        return encoded

    def decode(self, encoded: Mapping[str, Tensor]) -> Tensor:
        """`layer2`, `layer3` and `layer4` to `dec` (N, channels, H/8, W/8)."""
        dec: Tensor = self.decoder(encoded)
        return dec

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """All that a cell may see of a frame: `layer2`, `layer3`, `layer4` and `dec`."""
        encoded = self.encode(images)
        return {name: encoded[name] for name in ("layer2", "layer3", "layer4")} | {"dec": self.decode(encoded)}

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) to logits (N, classes, H/8, W/8)."""
        logits: Tensor = self.classifier(self.decode(self.encode(images)))
        return logits

    def forward_with_auxiliary(self, images: Tensor) -> tuple[Tensor, ...]:
        """Logits as `forward` gives them, then those of the auxiliary heads at strides 8, 8 and 16."""
        blocks = self.decoder.block_outputs(self.encode(images))
        main = self.classifier(self.decoder.merged(blocks))
        return main, *(head(block) for head, block in zip(self.auxiliary, blocks, strict=False))

    def freeze(self) -> Self:
        """Stop all gradients and stay in eval mode for ever: no later `train()` moves batch-norm statistics."""
        self._frozen = True
        self.requires_grad_(False)
        return self.eval()

    def train(self, mode: bool = True) -> Self:
        return super().train(mode and not self._frozen)


def save_checkpoint(path: Path, network: StaticNetwork, meta: Mapping[str, Any]) -> None:
    """Write a network without its auxiliary heads, and JSON-able facts about it.

    Raises:
        OSError: as `save_tensors`.
    """
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in _weights(network).items()}
    save_tensors(
        path, {"format": FORMAT, "classes": network.classes, "meta": json.dumps(dict(meta)), "weights": weights}
    )


def load_checkpoint(path: Path, classes: int | None = None) -> tuple[StaticNetwork, dict[str, Any]]:
    """Read what `save_checkpoint` wrote: a network without auxiliary heads, and its facts.

    Args:
        path: of the file.
        classes: that the network must have, if given.

    Raises:
        DataError: no such file, not a checkpoint, other shapes, or another number of classes.
    """
    content = load_tensors(path)
    if content.get("format") != FORMAT:
        raise DataError(
            f"{path} is not a static network that this version wrote; make one with `python -m nas.pretrain`"
        )
    try:
        network = StaticNetwork(content["classes"], auxiliary=False)
        load_weights(network, content["weights"])
        meta = dict(json.loads(content["meta"]))
    except DAMAGED as error:
        raise DataError(f"the static network {path} is damaged or of another version ({brief(error)})") from error
    if classes not in (None, network.classes):
        raise DataError(
            f"the static network {path} has {network.classes} classes, but the data has {classes}; "
            "give the checkpoint of this data set, or none to train one"
        )
    return network, meta


def weights_fingerprint(network: StaticNetwork) -> str:
    """Hex digest of all that `forward` depends on; it survives saving, moving to a device and freezing."""
    digest = hashlib.sha256()
    for name, tensor in sorted(_weights(network).items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _weights(network: StaticNetwork) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("auxiliary.")}
