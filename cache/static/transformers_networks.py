"""Trained segmentation networks of Hugging Face transformers, each cut into encoder, decoder and classifier.

SegFormer (Xie et al., NeurIPS 2021, arXiv:2105.15203) and UPerNet (Xiao et al., ECCV 2018, arXiv:1807.10221).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import AutoModelForSemanticSegmentation

from cache.errors import DataError
from cache.static.encoder import LAYERS, Encoder
from cache.static.own import OwnNetwork
from cache.static.transformers_backbones import NORMS, Backbone
from cache.static.transformers_files import from_content, read_config, reading, to_content


class SegformerEncoder(Encoder):
    """Mix transformer: each of its four stages runs by itself, so that none runs which nobody reads."""

    def __init__(self, model: nn.Module, config: Any) -> None:  # noqa: ANN401 - of transformers
        super().__init__()
        self.stages = model.get_submodule("stages")
        self.channels = dict(zip(LAYERS, config.hidden_sizes, strict=True))
        scales = torch.tensor(config.strides).cumprod(0).tolist()
        self.strides = dict(zip(LAYERS, scales, strict=True))
        reduced = zip(scales, config.sr_ratios, strict=True)
        self._least = max(scale * (ratio - 1) + 1 for scale, ratio in reduced)  # pixels a side

    def stage(self, layer: str, x: Tensor) -> Tensor:
        """Run one stage. Raises DataError for images on whose grids keys and values cannot be reduced."""
        if layer == LAYERS[0] and not torch.compiler.is_exporting() and min(x.shape[-2:]) < self._least:
            size = f"{x.shape[-2]}x{x.shape[-1]}"
            raise DataError(f"images of {size} are too small: this SegFormer needs {self._least} pixels a side")
        made: Tensor = self.stages.get_submodule(str(LAYERS.index(layer)))(x)
        return made


class HeadDecoder(nn.Module):
    """A head without its classifier: all four layers, each behind its norm where it has one, to `dec` at stride 4."""

    def __init__(self, head: nn.Module, norms: Mapping[str, nn.Module] = MappingProxyType({})) -> None:
        super().__init__()
        self.head, self.norms = head, nn.ModuleDict(norms)

    def forward(self, encoded: Mapping[str, Tensor]) -> Tensor:
        maps = [self.norms[layer](encoded[layer]) if layer in self.norms else encoded[layer] for layer in LAYERS]
        dec: Tensor = self.head(maps)
        return dec


class MapNorm(nn.LayerNorm):
    """Layer norm over the channels of a map (N, C, h, w)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


def load_segmenter(name: str) -> OwnNetwork:
    """Load a trained network from a folder or from the hub.

    Raises:
        DataError: it is not there, is of no known type, lacks weights, or wants images of another normalisation.
    """
    with reading(f"hf:{name}", "a trained network with safetensors"):
        config = read_config(name)
        _check(f"hf:{name}", config)
        model, told = AutoModelForSemanticSegmentation.from_pretrained(
            name, config=config, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
        lacking = sorted(told["missing_keys"])
        if lacking:
            raise DataError(f"hf:{name} is no trained segmentation network: it has no weights for {lacking[0]}")
        return _split(model, config)


def make_segmenter(content: Mapping[str, Any]) -> OwnNetwork:
    """Make a network with random weights for the configuration that a file holds.

    Raises:
        ValueError: it is of no known type.
    """
    config = from_content(content)
    _check("the network's configuration", config)
    with torch.random.fork_rng(devices=[]):
        return _split(AutoModelForSemanticSegmentation.from_config(config), config)


def _split(model: Any, config: Any) -> OwnNetwork:  # noqa: ANN401 - of transformers
    """Cut a network into encoder, decoder and classifier."""
    head = model.decode_head
    classifier, head.classifier = head.classifier, nn.Identity()
    encoder, decoder = KNOWN[config.model_type](model, head)
    named = dict(sorted(config.id2label.items()))
    names = tuple(named.values())
    return OwnNetwork(
        encoder=encoder,
        decoder=decoder,
        classifier=classifier,
        stride=4,
        classes=() if names == tuple(f"LABEL_{number}" for number in named) else names,
        source={"transformers": to_content(config)},
    )


def _segformer(model: Any, head: nn.Module) -> tuple[Encoder, nn.Module]:  # noqa: ANN401
    return SegformerEncoder(model.segformer, model.config), HeadDecoder(head)


def _upernet(model: Any, head: nn.Module) -> tuple[Encoder, nn.Module]:  # noqa: ANN401
    norms = getattr(model.backbone, NORMS, {}).values()
    encoder = Backbone(model.backbone, model.config.backbone_config.model_type)
    return encoder, HeadDecoder(head, dict(zip(LAYERS, map(_on_maps, norms), strict=False)))


def _on_maps(norm: Any) -> MapNorm:  # noqa: ANN401
    made = MapNorm(norm.normalized_shape, norm.eps)
    made.load_state_dict(norm.state_dict())
    return made


KNOWN: Final[dict[str, Callable[[Any, nn.Module], tuple[Encoder, nn.Module]]]] = {
    "segformer": _segformer,
    "upernet": _upernet,
}
"""Types of network, and how each is cut."""


def _check(name: str, config: Any) -> None:  # noqa: ANN401 - of any model
    """Raise DataError for a network that cannot be cut into four stages and a head."""
    kind = config.model_type
    if kind not in KNOWN:
        known = " and ".join(KNOWN)
        raise DataError(
            f"{name} is a {kind}, but only {known} networks of transformers are known; encoders go by --encoder"
        )
    stages = config.backbone_config.out_features if kind == "upernet" else range(config.num_encoder_blocks)
    if len(stages) != len(LAYERS):
        raise DataError(f"{name} has {len(stages)} stages, but cells need {len(LAYERS)}")
    if not getattr(config, "reshape_last_stage", True):
        raise DataError(f"{name} gives its last stage as a sequence (reshape_last_stage is false), not as a map")
