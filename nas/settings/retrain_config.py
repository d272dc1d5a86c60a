"""Every setting of retraining; the defaults are the paper's, as in `config.py`."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from nas.settings.errors import require


@dataclass(frozen=True, kw_only=True)
class RecipeConfig:
    """Recipe by which a cell, a fixed point or the per-frame network is trained for use: alone, then end to end."""

    head_epochs: int = 10
    """Passes over the training windows in which the static network stays as it is."""
    epochs: int = 100
    """Passes after the head's, in which all weights learn."""
    alone_on: Literal["images", "features"] = "images"
    """Source that a cell alone learns from: `images` in random views, with losses at full size; or cached `features` of
    whole frames, with losses at 1/8, as in the search, which takes about a tenth of the time."""
    batch: int = 16
    """Windows a step."""
    window: Literal["auto"] | int = "auto"
    """Frames in a window; `auto` is as many as in the search."""
    loss_on: Literal["later", "all", "last"] = "later"
    """Frames of a window whose losses are added: those after the first, as in the paper; end to end also the first, so
    that the static decoder and its classifier keep up with the encoder; or the last alone."""
    dec_weight: float = 0.0
    """Weight of imitating a teacher's `dec` on the frames whose losses are added, labelled or not. The teacher is the
    static network as it is at the start, or that of --distill-from; one whose `dec` is not as wide teaches its class
    probabilities alone, and the log says so."""
    logit_weight: float = 0.0
    """Weight of imitating its class probabilities there."""
    label_weight: float = 1.0
    """Weight of the labels' cross-entropy."""
    label_every: int = 1
    """Learn from the label of every so many frames of a recording, as if the others had none; to see what fewer labels
    cost, and what a temporal loss gives back."""
    head_optimizer: Literal["adam", "sgd"] = "adam"
    """Optimiser of the cell and its classifier. SGD has momentum 0.9."""
    head_rates: tuple[float, float] = (8e-3, 4e-3)
    """Learning rates of the cell and its classifier, alone and end to end."""
    static_rate: float = 5e-4
    """Learning rate of the static network end to end, by SGD with momentum 0.9; 0 leaves it as it is."""
    weight_decay: float = 0.0
    """Weight decay of all weights."""
    schedule: Literal["constant", "poly"] = "constant"
    """Schedule of the rates, alone and end to end; `poly` takes them to 0 with power 0.9 in each."""
    clip_norm: float = 3.0
    """Gradients longer than this are shortened to it, as in the search."""
    class_weights: bool = False
    """Weigh classes by inverse logarithmic frequency, for few epochs on unbalanced labels."""
    crop: int = 600
    """Longest side of a random crop in pixels of the working resolution; 0 takes whole frames."""
    scale_range: tuple[float, float] = (1.0, 1.0)
    """Random rescaling of a window; half of the windows are mirrored, too."""
    validate_every: int = 1
    """Epochs between two scores on the validation list; the best checkpoint is kept, and a stopped training goes on
    from the last score."""

    def __post_init__(self) -> None:
        require(self.head_epochs >= 0, "head-epochs must not be negative", self.head_epochs)
        require(self.epochs >= 0, "epochs must not be negative", self.epochs)
        require(self.head_epochs + self.epochs >= 1, "head-epochs and epochs must not both be 0", self.epochs)
        require(self.batch >= 1, "batch must be at least 1", self.batch)
        require(self.window == "auto" or self.window >= 2, "window must be at least 2 frames, or auto", self.window)
        terms = self.dec_weight, self.logit_weight, self.label_weight
        require(min(terms) >= 0, "weights of dec, logits and labels must not be negative", terms)
        taught = self.logit_weight + self.label_weight > 0
        require(taught, "logit-weight and label-weight must not both be 0: nothing else trains the classifier", terms)
        require(self.label_every >= 1, "label-every must be at least 1", self.label_every)
        require(min(self.head_rates) > 0, "head-rates must be positive", self.head_rates)
        on_all = self.loss_on != "last" and self.label_every == 1
        rule = "alone-on must be images with loss-on last or label-every: features teach by all later frames and labels"
        require(self.alone_on == "images" or on_all, rule, self.alone_on)
        rates = self.static_rate, self.weight_decay
        require(min(rates) >= 0, "static-rate and weight-decay must not be negative", rates)
        require(self.clip_norm > 0, "clip-norm must be positive", self.clip_norm)
        require(self.crop >= 0, "crop must not be negative", self.crop)
        low, high = self.scale_range
        require(0 < low <= high, "scale-range must be two positive numbers, low first", self.scale_range)
        require(self.validate_every >= 1, "validate-every must be at least 1", self.validate_every)

    @property
    def imitates(self) -> bool:
        """Tell whether there is a teacher, so that frames without labels teach, too."""
        return self.dec_weight + self.logit_weight > 0


@dataclass(frozen=True, kw_only=True)
class EtcConfig:
    """Losses that make a network label a video steadily (ETC, Liu et al., ECCV 2020); none of them by default."""

    temporal_loss: float = 0.0
    """Weight of the temporal loss, 0.1 in the paper. It counts on consecutive frames at most 6 frames of the video
    apart; CamVid's training frames are a second apart, and without such frames there is an error."""
    occlusion: Literal["brightness", "flow"] = "brightness"
    """Sign by which the temporal loss tells that a surface is hidden in the other frame: it looks different, as in the
    paper, or flow there and flow back disagree, which fog, flicker and changing light do not disturb."""
    distill_from: Path | None = None
    """Checkpoint of a better network that teaches this one; the three weights below are of what it teaches by ETC."""
    single_frame: float = 0.1
    """Weight of distilling single frames."""
    pair_frame: float = 0.1
    """Weight of distilling pairs of consecutive frames."""
    multi_frame: float = 0.1
    """Weight of distilling whole windows."""

    def __post_init__(self) -> None:
        weights = self.temporal_loss, self.single_frame, self.pair_frame, self.multi_frame
        require(min(weights) >= 0, "weights of ETC's losses must not be negative", weights)


@dataclass(frozen=True, kw_only=True)
class RetrainConfig:
    """Settings of `nas.retrain` beside those of the run, which say what the data and the static network are."""

    retrain: Annotated[RecipeConfig, arg(name="")] = field(default_factory=RecipeConfig)
    etc: Annotated[EtcConfig, arg(name="")] = field(default_factory=EtcConfig)

    def __post_init__(self) -> None:
        plain = self.etc.temporal_loss == 0 and self.etc.distill_from is None
        rule = "alone-on must be images with temporal-loss or distill-from, which cached features do not serve"
        require(self.retrain.alone_on == "images" or plain, rule, self.retrain.alone_on)


def without_labels(config: RetrainConfig) -> RetrainConfig:
    """Let imitation be all that teaches, on data without labels: at the recipe's weights, or at 1 where it has none."""
    recipe = config.retrain
    dec, logits = (recipe.dec_weight, recipe.logit_weight) if recipe.imitates else (1.0, 1.0)
    recipe = replace(recipe, dec_weight=dec, logit_weight=logits, label_weight=0.0, class_weights=False)
    return replace(config, retrain=recipe)
