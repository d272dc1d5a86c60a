"""A network of one's own: what a trained per-frame network must give so that cells can be searched for it.

This is the whole contract. All else (caches, cells, retraining, costs, export, files) knows only this.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from cache.errors import DataError
from cache.static.decoder import resized
from cache.static.encoder import STRIDES, Encoder
from cache.tensor_files import DAMAGED, brief

PROBE: Final = (106, 155)
"""Height and width of the image that a network is tried on: not square, and every layer has to round up."""


@dataclass(frozen=True)
class OwnNetwork:
    """Three modules that label one frame: images to layers, layers to `dec`, `dec` to logits.

    Images come as float (N, 3, H, W), of any size, RGB, normalised by ImageNet's mean and deviation. A network that was
    trained on others undoes that in its first stage.
    """

    encoder: Encoder
    """Encoder of four layers at strides 4, 8, 16 and 32, whose stages are run no deeper than somebody reads them."""
    decoder: nn.Module
    """Module that makes `dec` of a mapping of all four layers; best not negative, as cells imitate it behind a ReLU."""
    classifier: nn.Conv2d
    """Convolution from `dec` to logits, 1x1 or 3x3, of stride 1."""
    stride: int = 8
    """Pixels of an image to one of `dec`: 4, 8 or 16. It is put on stride 8, where cells work."""
    classes: tuple[str, ...] = ()
    """Name of each class; none, if the network does not know them."""
    source: Mapping[str, Any] = field(default_factory=dict)
    """JSON from which the same modules can be made again; whoever opens a network by name fills it in."""


class OnGrid(nn.Module):
    """A decoder whose `dec` is put on the grid of `layer2`: pooled by means from stride 4, bilinear from stride 16."""

    def __init__(self, decoder: nn.Module, stride: int) -> None:
        super().__init__()
        self.decoder, self._stride = decoder, stride

    def forward(self, encoded: Mapping[str, Tensor]) -> Tensor:
        """Decode all layers to `dec` (N, C, H/8, W/8), sizes rounded up."""
        dec: Tensor = self.decoder(encoded)
        if self._stride == 4:
            return functional.avg_pool2d(dec, 2, ceil_mode=True)
        return dec if self._stride == 8 else resized(dec, encoded["layer2"].shape[-2:])


def three_by_three(conv: nn.Conv2d) -> nn.Conv2d:
    """Give a 1x1 or 3x3 classifier the 3x3 form that all heads share; a 1x1 one is set among zeros, which is exact.

    Raises:
        DataError: it is another convolution, or none.
    """
    plain = isinstance(conv, nn.Conv2d) and {*conv.stride, *conv.dilation, conv.groups} == {1}
    if not plain or (conv.kernel_size, conv.padding) not in (((1, 1), (0, 0)), ((3, 3), (1, 1))):
        raise DataError(f"the classifier must be a 1x1 or 3x3 convolution that keeps the size of dec, but it is {conv}")
    wide = nn.Conv2d(conv.in_channels, conv.out_channels, 3, padding=1)
    margin = (3 - conv.kernel_size[0]) // 2
    with torch.no_grad():
        wide.weight.copy_(functional.pad(conv.weight, (margin,) * 4))
        wide.bias.copy_(conv.bias if conv.bias is not None else torch.zeros(conv.out_channels))  # type: ignore[union-attr]
    return wide


@torch.no_grad()
def check_own(name: str, own: OwnNetwork) -> None:
    """Try a network, which is left in eval mode, on one image.

    Raises:
        DataError: it breaks the contract, and where.
    """
    if not isinstance(own, OwnNetwork) or not isinstance(own.encoder, Encoder):
        what = type(own.encoder if isinstance(own, OwnNetwork) else own).__name__
        raise DataError(f"{name} gives no OwnNetwork with an Encoder, but {what}; see docs/own-network.md")
    three_by_three(own.classifier)
    encoded, decoder = check_encoder(name, own.encoder.eval()), own.decoder.eval()
    with _labelling(name):
        dec = decoder(encoded)
    if own.stride not in (4, 8, 16):
        raise DataError(f"{name} has a dec at stride {own.stride}, but it must be 4, 8 or 16")
    _expect(name, "the shape of its dec", (1, own.classifier.in_channels, *_grid(own.stride)), tuple(dec.shape))


@torch.no_grad()
def check_encoder(name: str, encoder: Encoder) -> dict[str, Tensor]:
    """Try an encoder, which is in eval mode, on one image, and return the layers.

    Raises:
        DataError: channels, strides or layers are not what it publishes or cells need.
    """
    _expect(name, "the strides of its encoder", dict(STRIDES), dict(encoder.strides))
    with _labelling(name):
        encoded: dict[str, Tensor] = encoder(torch.zeros(1, 3, *PROBE))
        shapes = {layer: tuple(tensor.shape[1:]) for layer, tensor in encoded.items()}
    wanted = {layer: (encoder.channels[layer], *_grid(stride)) for layer, stride in STRIDES.items()}
    _expect(name, "the channels, height and width of its layers", wanted, shapes)
    return encoded


@contextmanager
def _labelling(name: str) -> Iterator[None]:
    """Raise DataError for whatever a network raises at the image that it is tried on."""
    try:
        yield
    except DAMAGED as error:
        raise DataError(f"{name} cannot label an image of {PROBE[0]}x{PROBE[1]} pixels: {brief(error)}") from error


def _grid(stride: int) -> tuple[int, int]:
    return -(-PROBE[0] // stride), -(-PROBE[1] // stride)


def _expect(name: str, what: str, wanted: object, found: object) -> None:
    if found != wanted:
        raise DataError(f"{name}: {what} must be {wanted} for an image of {PROBE[0]}x{PROBE[1]}, but got {found}")
