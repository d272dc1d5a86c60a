"""Encoder: images to features of four resolutions, in four stages, of which no more run than somebody reads."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from torch import Tensor, nn

LAYERS: Final = ("layer1", "layer2", "layer3", "layer4")
"""Features that the stages of every encoder give, from fine to coarse."""
STRIDES: Final = dict(zip(LAYERS, (4, 8, 16, 32), strict=True))
"""Pixels of an image to one of each layer, which the cells' grids stand on."""


@dataclass(frozen=True)
class PublishedWeights:
    """Weights of an encoder that anybody can download."""

    url: str
    """Address of the file."""
    sha256_start: str
    """First hexadecimal digits of the file's SHA-256."""
    unused: tuple[str, ...]
    """Starts of the names of tensors that the encoder has no use for, such as those of a classifier."""

    @property
    def file(self) -> str:
        """Name of the file."""
        return self.url.rpartition("/")[2]


class Encoder(nn.Module, ABC):
    """Base of all encoders: a subclass has four stages, and says what comes out of each."""

    channels: Mapping[str, int]
    """Number of channels of each layer."""
    strides: Mapping[str, int]
    """Pixels of the image to one of each layer; sizes round up."""
    published: ClassVar[PublishedWeights | None] = None
    """ImageNet weights to start training from; None where there are none."""

    @abstractmethod
    def stage(self, layer: str, x: Tensor) -> Tensor:
        """Make `layer` from the layer before it, the first one from images."""

    def forward(self, images: Tensor, up_to: str = LAYERS[-1]) -> dict[str, Tensor]:
        """Encode, as deep as wanted.

        Args:
            images: RGB, normalised by ImageNet's mean and deviation, float (N, 3, H, W), any size.
            up_to: deepest layer that is computed.

        Returns:
            `layer1` to `up_to`, each (N, its channels, H over its stride, W over its stride), rounded up.
        """
        return self._stages(images, LAYERS[: LAYERS.index(up_to) + 1])

    def deeper(self, encoded: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Go on from what `forward` gave to the deepest layer, and return all."""
        done = len(encoded)
        return {**encoded, **self._stages(encoded[LAYERS[done - 1]], LAYERS[done:])}

    def _stages(self, x: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        encoded = {}
        for layer in layers:
            encoded[layer] = x = self.stage(layer, x)
        return encoded
