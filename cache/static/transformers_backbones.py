"""Encoders of Hugging Face transformers: the backbones of `AutoBackbone` whose four stages run one after another."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import MODEL_FOR_BACKBONE_MAPPING, AutoBackbone

from cache.errors import DataError
from cache.static.encoder import LAYERS, STRIDES, Encoder
from cache.static.own import check_encoder
from cache.static.transformers_files import find_weights, from_content, read_config, reading, to_content
from cache.static.transformers_stages import cuts_patches, padded, parts_of
from cache.tensor_files import DAMAGED, brief

NORMS: Final = "hidden_states_norms"
"""Norms behind the stages of some backbones, which are no part of them: ImageNet's weights have none."""
TRIED: Final = (64, 96)
"""Height and width of the image whose maps tell the widths; multiples of 32, so that nothing is padded."""


class Backbone(Encoder):
    """A backbone of transformers, whose layers are its hidden states, before any norm that it puts behind them."""

    strides = STRIDES

    def __init__(self, model: nn.Module, kind: str) -> None:
        """Take a backbone apart.

        Args:
            model: of transformers.
            kind: its type, such as `resnet`.

        Raises:
            ValueError: its stages are not four maps in a row.
        """
        super().__init__()
        self.stem, stages = parts_of(model, kind)
        self.stages = nn.ModuleList(stages)
        self._patches = cuts_patches(self)
        try:
            with torch.no_grad():
                maps = self.eval()(torch.zeros(1, 3, *TRIED))
            self.channels = {layer: made.shape[1] for layer, made in maps.items()}
        except DAMAGED as error:
            shape = f"an image of {TRIED[0]}x{TRIED[1]} pixels"
            raise ValueError(f"the stages of a {kind} do not run one by one on {shape} ({brief(error)})") from error
        self.train()

    def stage(self, layer: str, x: Tensor) -> Tensor:
        """Run one stage, behind the stem if it is the first."""
        first = layer == LAYERS[0]
        if self._patches:
            x = padded(x, STRIDES[layer] if first else 2)
        made: Tensor = self.stages[LAYERS.index(layer)](self.stem(x) if first else x)
        return made


def find_backbone(name: str) -> tuple[dict[str, Any], Path | None]:
    """Find a backbone by a name on the hub or a folder.

    Returns:
        Its configuration, as `make_backbone` takes it, and the file of its weights, if there is one.

    Raises:
        DataError: there is none, or it cannot be downloaded, or its stages are not what cells need.
    """
    with reading(f"hf:{name}", "a backbone"):
        config = read_config(name)
        stages = [stage for stage in getattr(config, "stage_names", None) or () if stage != "stem"]
        if not stages:
            raise DataError(f"hf:{name} is a {config.model_type}, of which transformers has no backbone")
        if len(stages) != len(LAYERS):
            raise DataError(f"hf:{name} is a {config.model_type} of {len(stages)} stages, but cells need {len(LAYERS)}")
        config.out_features = stages
        content = to_content(config)
        with torch.random.fork_rng(devices=[]):
            check_encoder(f"hf:{name}", make_backbone(content).eval())
        return content, find_weights(name)


def make_backbone(content: Mapping[str, Any]) -> Backbone:
    """Make a backbone with random weights from torch's global generator.

    Args:
        content: its configuration.

    Raises:
        ValueError: there is no such backbone, or its stages are not four maps in a row.
    """
    config = from_content(content)
    return Backbone(AutoBackbone.from_config(config), config.model_type)


def load_backbone(encoder: Backbone, content: Mapping[str, Any], path: Path) -> None:
    """Load weights from a file of safetensors, which may be those of a whole classifier.

    Args:
        encoder: that is to have them.
        content: its configuration.
        path: of the file.

    Raises:
        DataError: they do not fit.
    """
    with reading(str(path), "a backbone"):
        config = from_content(content)
        kind = MODEL_FOR_BACKBONE_MAPPING[type(config)]  # AutoBackbone takes a folder for a model of another library
        model, told = kind.from_pretrained(
            str(path.parent), config=config, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
        lacking = sorted(key for key in told["missing_keys"] if NORMS not in key)
        if lacking:
            raise DataError(f"{path} has no weights for {lacking[0]} of the encoder")
        encoder.load_state_dict(Backbone(model, config.model_type).state_dict())
