"""Trained segmentation networks of Hugging Face transformers: SegFormer (Xie et al., NeurIPS 2021, arXiv:2105.15203).

Weights are read as safetensors alone, and no code from the hub is run. Only this file imports transformers.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import AutoConfig, SegformerConfig, SegformerForSemanticSegmentation
from transformers.utils import cached_file

from cache.errors import DataError
from cache.images import IMAGENET_MEAN, IMAGENET_STD
from cache.static.encoder import LAYERS, Encoder
from cache.static.own import OwnNetwork

KNOWN: Final = "segformer"
UNTOLD: Final = ("_name_or_path", "transformers_version", "auto_map", "dtype")
"""Entries of a configuration that no weight depends on, or that must not be followed."""


class SegformerEncoder(Encoder):
    """Mix transformer: each of its four stages runs by itself, so that none runs which nobody reads."""

    def __init__(self, model: nn.Module, config: SegformerConfig) -> None:
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


class SegformerDecoder(nn.Module):
    """The all-MLP head up to its classifier: all four layers to `dec` at stride 4."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, encoded: Mapping[str, Tensor]) -> Tensor:
        dec: Tensor = self.head([encoded[layer] for layer in LAYERS])
        return dec


def load_segmenter(name: str) -> OwnNetwork:
    """Load a trained network from a folder or from the hub.

    Raises:
        DataError: it is not there, is no SegFormer, lacks weights, or wants images of another normalisation.
    """
    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=False)
        _check_config(name, config)
        _check_normalisation(name)
        model, told = SegformerForSemanticSegmentation.from_pretrained(
            name, config=config, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
    except DataError:
        raise
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise DataError(f"hf:{name} cannot be loaded as a trained network with safetensors: {reason}") from error
    lacking = sorted(told["missing_keys"])
    if lacking:
        raise DataError(f"hf:{name} is no trained segmentation network: it has no weights for {lacking[0]}")
    return _split(model, config)


def make_segmenter(content: Mapping[str, Any]) -> OwnNetwork:
    """Make a network with random weights for the configuration that a file holds.

    Raises:
        ValueError: it is not one of a SegFormer.
    """
    config = SegformerConfig.from_dict(dict(content))
    _check_config("the network's configuration", config)
    with torch.random.fork_rng(devices=[]):
        return _split(SegformerForSemanticSegmentation(config), config)


def _split(model: SegformerForSemanticSegmentation, config: SegformerConfig) -> OwnNetwork:
    """Cut a network into encoder, decoder and classifier."""
    head = model.decode_head
    classifier, head.classifier = head.classifier, nn.Identity()
    named = dict(sorted(config.id2label.items()))
    names = tuple(named.values())
    source = {key: value for key, value in json.loads(config.to_json_string()).items() if key not in UNTOLD}
    return OwnNetwork(
        encoder=SegformerEncoder(model.segformer, config),
        decoder=SegformerDecoder(head),
        classifier=classifier,
        stride=4,
        classes=() if names == tuple(f"LABEL_{number}" for number in named) else names,
        source={"transformers": source},
    )


def _check_config(name: str, config: Any) -> None:  # noqa: ANN401 - of any model
    if config.model_type != KNOWN:
        raise DataError(f"{name} is a {config.model_type}, but only {KNOWN} networks of transformers are known")
    if config.num_encoder_blocks != len(LAYERS):
        raise DataError(f"{name} has {config.num_encoder_blocks} stages, but cells need {len(LAYERS)}")
    if not config.reshape_last_stage:
        raise DataError(f"{name} gives its last stage as a sequence (reshape_last_stage is false), not as a map")


def _check_normalisation(name: str) -> None:
    """Raise DataError for a network that wants images other than all networks here get."""
    path = cached_file(name, "preprocessor_config.json", _raise_exceptions_for_missing_entries=False)
    said = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
    for key, wanted in (("image_mean", IMAGENET_MEAN), ("image_std", IMAGENET_STD)):
        found = said.get(key, list(wanted))
        if len(found) != 3 or any(abs(a - b) > 1e-3 for a, b in zip(found, wanted, strict=True)):
            raise DataError(
                f"hf:{name} normalises images by {key} {found}, but only ImageNet's {list(wanted)} is known"
            )
