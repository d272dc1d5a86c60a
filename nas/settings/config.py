"""Every setting of searches and of what comes before them: one default, one sentence, one check each.

The defaults are the protocol on CamVid of Nekrasov et al., "Architecture Search of Dynamic Cells for Semantic Video
Segmentation", WACV 2020, but for the loss of candidates and the strategy, which `--preset paper` sets as there. A data
set or a preset overrides them with a YAML file from `nas/settings/presets/`.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

from tyro.conf import arg

from cache.datasets.clips import LIMIT
from nas.settings.errors import require
from nas.settings.machine_config import ComputeConfig, MachineConfig
from nas.settings.strategy_config import ControllerConfig, EvolutionConfig, PPOConfig, PredictorConfig

DatasetName = Literal["camvid", "cityscapes", "shapes", "folder", "video"]
EncoderName = Literal["mobilenet_v2"]
StrategyName = Literal["ppo", "ppo_plain", "random", "evolution"]


def is_refresh(frames: int | None) -> bool:
    """Tell whether there can be so many frames from one key frame to the next: 0 stands for never, None for unsaid."""
    return frames is None or frames == 0 or frames >= 2


REFRESH_RULE: Final = "refresh must be 0, for no key frame after the first, or at least 2 frames"


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Settings of the data: which frames, at which resolution, in which windows."""

    dataset: DatasetName = "camvid"
    """Name of the data set; a `video` has no masks, and the network of --checkpoint or --network teaches and scores
    all others."""
    limit: int = LIMIT
    """Frames of a video without masks that are used at most, in stretches spread evenly over it; 0 is all of them."""
    scale: float = 1.0
    """Working resolution as a share of the frames' own height and width, in (0, 1]."""
    window: Literal["auto"] | int = "auto"
    """Frames in a window; the first one starts the memory, the loss is on the others. `auto` is as many as fill the
    longest memory of the space, and at least the paper's 3."""
    meta_val: float = 0.1
    """Share of the training list, in contiguous blocks, on which candidates are scored; the rest trains them."""
    gaps: tuple[int, ...] = (1,)
    """Gaps between the frames of a training window, in multiples of the clips' own; each makes windows."""
    moving_stills: Literal["none", "beside", "instead"] = "none"
    """Make a clip of every labelled training frame, by a camera that moves over it, where frames are too far apart to
    show what a memory is worth at a video's own rate. Cells learn from these clips and are scored on those of meta-val,
    `beside` the clips that were filmed or `instead` of them."""
    refresh: Literal["auto"] | int = "auto"
    """Frames from one key frame to the next; on a key frame the whole static network runs, and the memory starts again
    from it. 0 has none after the first frame of a clip; `auto` is what the space says."""

    def __post_init__(self) -> None:
        require(bool(self.gaps) and min(self.gaps) >= 1, "gaps must be whole numbers from 1", self.gaps)
        require(len(set(self.gaps)) == len(self.gaps), "gaps must differ from each other", self.gaps)
        require(self.refresh == "auto" or is_refresh(self.refresh), f"{REFRESH_RULE}, or auto", self.refresh)
        rule = "moving stills are of labelled frames; a video without masks has frames at its own rate"
        require(self.moving_stills == "none" or self.dataset != "video", rule, self.moving_stills)
        require(self.limit >= 0, "limit must not be negative", self.limit)
        require(0 < self.scale <= 1, "scale must lie in (0, 1]", self.scale)
        require(self.window == "auto" or self.window >= 2, "window must be at least 2 frames, or auto", self.window)
        require(0 < self.meta_val < 1, "meta-val must lie in (0, 1)", self.meta_val)

    def reach(self, window: int) -> int:
        """Count the frames of a clip that a window of so many frames goes over, at the widest gap."""
        return (window - 1) * max(self.gaps) + 1


@dataclass(frozen=True, kw_only=True)
class StaticConfig:
    """Settings of the static network's training."""

    checkpoint: Annotated[Path | None, arg(name="checkpoint", prefix_name=False)] = None
    """A trained static network to use instead of training one; of a retrained network, its static part."""
    network: Annotated[str | None, arg(name="network", prefix_name=False)] = None
    """A trained network of one's own to use as it is: `hf:NAME_OR_FOLDER` of transformers, or
    `package.module:function`."""
    encoder: Annotated[EncoderName | str, arg(name="encoder", prefix_name=False)] = "mobilenet_v2"
    """Which encoder to train: `mobilenet_v2`, or `hf:NAME_OR_FOLDER`, a backbone of transformers with four stages and
    the weights that come with it; a static network that is given has its own."""
    encoder_weights: Annotated[Path | None, arg(name="encoder-weights", prefix_name=False)] = None
    """The encoder's ImageNet weights, in torchvision's naming; without a file their public URL is tried."""
    train_on: Annotated[Literal["train", "meta-train"], arg(name="static-on", prefix_name=False)] = "train"
    """`train` is the paper's choice, but then the network has seen meta-val, which flatters the per-frame score."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """SGD has momentum 0.9; both follow the poly schedule with power 0.9."""
    encoder_rate: float = 5e-2
    """Initial learning rate of the encoder."""
    decoder_rate: float = 1e-2
    """Initial learning rate of the decoder and its classifier."""
    weight_decay: float = 1e-5
    """Weight decay of convolutions and linear layers."""
    epochs: int = 2000
    """Passes over the training frames."""
    batch: int = 32
    """Frames a step."""
    auxiliary_weight: float = 0.3
    """Weight of the auxiliary heads' losses; 0 trains without them."""
    class_weights: bool = False
    """Weigh classes by inverse logarithmic frequency, for few epochs on unbalanced labels."""
    scale_range: tuple[float, float] = (0.5, 2.0)
    """Random rescaling of a training frame; it is cropped or padded back to the working resolution."""
    validate_every: int = 10
    """Epochs between two scores on the validation list; the best checkpoint is kept."""
    freeze_encoder_norm: bool = False
    """Keep the encoder's batch-norm statistics as they were loaded."""

    def __post_init__(self) -> None:
        rule = "checkpoint and network both say what to use; give one of them"
        require(self.checkpoint is None or self.network is None, rule, self.network)
        own_weights = self.encoder_weights is None or not self.encoder.startswith("hf:")
        require(own_weights, "encoder hf: brings its weights; leave encoder-weights out", str(self.encoder_weights))
        require(self.network is None or ":" in self.network, "network must be hf:NAME or module:function", self.network)
        require(self.epochs >= 1, "static.epochs must be at least 1", self.epochs)
        require(self.batch >= 2, "static.batch must be at least 2 (batch norm)", self.batch)
        require(self.validate_every >= 1, "static.validate-every must be at least 1", self.validate_every)
        rates = self.encoder_rate, self.decoder_rate
        require(min(rates) > 0, "static.encoder-rate and decoder-rate must be positive", rates)
        require(self.weight_decay >= 0, "static.weight-decay must not be negative", self.weight_decay)
        require(self.auxiliary_weight >= 0, "static.auxiliary-weight must not be negative", self.auxiliary_weight)
        low, high = self.scale_range
        require(0 < low <= high, "static.scale-range must be two positive numbers, low first", self.scale_range)


@dataclass(frozen=True, kw_only=True)
class SpaceConfig:
    """Settings of the search space: which cells may be sampled."""

    space: str = "video"
    """Space of the cells: `video`, `paper`, `fast`, `lean`, `printed`, or the path of a YAML file."""
    blocks: Literal["auto"] | int = "auto"
    """Blocks of a cell; `auto` is what the space says (5, the paper's CamVid setting)."""

    def __post_init__(self) -> None:
        require(self.blocks == "auto" or self.blocks >= 1, "blocks must be at least 1, or auto", self.blocks)


@dataclass(frozen=True, kw_only=True)
class CandidateConfig:
    """Settings of a candidate's training on cached features, and of its score."""

    epochs: int = 20
    """Passes over the meta-train windows; even, so that half-way is an epoch."""
    batch: int = 48
    """Windows a step."""
    windows: int = 0
    """Windows an epoch goes through, drawn anew for each; 0 is all of them. Frames without labels make many."""
    dec_weight: float = 1.0
    """Weight of imitating the static decoder's output on every later frame, labelled or not."""
    logit_weight: float = 1.0
    """Weight of imitating the static network's class probabilities on every later frame, labelled or not."""
    label_weight: float = 0.3
    """Weight of the labels' cross-entropy at stride 8, with classes weighed as in the static network's training. The
    paper has this term alone."""
    learning_rate: float = 8e-3
    """Learning rate of Adam."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """Course of the learning rate: it falls to 0 over the training, or stays, as in the paper."""
    clip_norm: float = 3.0
    """Gradients longer than this are shortened to it (the ancestor's value; the paper states none)."""
    objective: Literal["geometric_mean", "agreement"] = "geometric_mean"
    """Objective that says what scores are worth: the geometric mean of mIoU, fwIoU and mean class accuracy, or that of
    the mIoU and the share of pixels in which a candidate agrees with the static network, which needs no labels."""
    max_cost: Annotated[float | None, arg(name="max-cost", prefix_name=False)] = None
    """Cost of a cell's clip, key frames among them, over that of the per-frame network, in (0, 1]: the reward of a cell
    that costs more is its worth times (max-cost / cost). By default costs are recorded and not judged."""
    cost: Annotated[Literal["macs", "latency"], arg(name="cost", prefix_name=False)] = "macs"
    """Cost that max-cost is about: multiply-adds, the same everywhere, or time on this machine, as the sum of blocks
    that are measured once, when the run starts."""
    early_stop: bool = True
    """Stop candidates that look unpromising half-way (Nekrasov et al., CVPR 2019)."""
    measure_halfway: bool = False
    """Score candidates half-way, too, where nothing is stopped."""
    max_memory: Annotated[Literal["auto"] | float, arg(name="max-candidate-memory", prefix_name=False)] = "auto"
    """GiB that training a candidate may take; one that would need more fails before it is built. `auto` is a worker's
    share of half the memory of the machine, or of its container, or of the GPU."""

    def __post_init__(self) -> None:
        require(self.epochs >= 1, "candidate.epochs must be at least 1", self.epochs)
        require(self.batch >= 1, "candidate.batch must be at least 1", self.batch)
        require(self.windows >= 0, "candidate.windows must not be negative", self.windows)
        terms = self.dec_weight, self.logit_weight, self.label_weight
        require(min(terms) >= 0, "candidate's weights of dec, logits and labels must not be negative", terms)
        rule = "candidate.logit-weight and label-weight must not both be 0: nothing else trains the classifier"
        require(self.logit_weight + self.label_weight > 0, rule, terms)
        require(self.learning_rate > 0, "candidate.learning-rate must be positive", self.learning_rate)
        require(self.clip_norm > 0, "candidate.clip-norm must be positive", self.clip_norm)
        rule = "max-cost is a share of what the per-frame network costs and must lie in (0, 1]"
        require(self.max_cost is None or 0 < self.max_cost <= 1, rule, self.max_cost)
        bounded = self.max_memory == "auto" or self.max_memory > 0
        require(bounded, "max-candidate-memory must be positive, or auto", self.max_memory)
        whole = self.epochs % 2 == 0 or not (self.early_stop or self.measure_halfway)
        require(whole, "candidate.epochs must be even to stop half-way", self.epochs)

    @property
    def imitates(self) -> bool:
        """Tell whether the static network teaches, so that frames without labels count, too."""
        return self.dec_weight + self.logit_weight > 0


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """Settings of `nas.pretrain`."""

    data: Annotated[DataConfig, arg(name="")] = field(default_factory=DataConfig)
    static: StaticConfig = field(default_factory=StaticConfig)
    compute: Annotated[ComputeConfig, arg(name="")] = field(default_factory=ComputeConfig)
    machine: Annotated[MachineConfig, arg(name="")] = field(default_factory=MachineConfig)
    seed: int = 0
    """Root of every random stream."""


@dataclass(frozen=True, kw_only=True)
class SearchConfig(PretrainConfig):
    """Settings of `nas.search`."""

    space: Annotated[SpaceConfig, arg(name="")] = field(default_factory=SpaceConfig)
    candidate: CandidateConfig = field(default_factory=CandidateConfig)
    controller: ControllerConfig = field(default_factory=ControllerConfig)
    ppo: PPOConfig = field(default_factory=PPOConfig)
    predictor: PredictorConfig = field(default_factory=PredictorConfig)
    evolution: EvolutionConfig = field(default_factory=EvolutionConfig)
    strategy: StrategyName | str = "ppo"
    """Strategy that proposes the cells; one of your own is package.module:name, importable from here."""
    warm_start: bool = False
    """Start the strategy from the fixed points' cells: PPO imitates them, and `ppo` and `evolution` propose them
    first, as what to improve on."""
    fixed_points: tuple[str, ...] = ("static", "per_frame", "tmanet", "lmanet", "tdnet")
    """Networks to score beside the candidates, before the search: the static one as it is, and hand-designed ones that
    are trained like every candidate, `per_frame` among them."""
    fixed_point_seeds: int = 1
    """Trainings of each fixed point, with different seeds; tables show mean and spread."""
    trials: int = 1000
    """Cells to propose. A finished run continues when this is raised."""
    confirm: int = 3
    """Best cells to train again after the search, longer and with fresh seeds, the fixed points beside them, and to
    rank by their means; 0 confirms nothing. A finished run confirms what is missing when this is raised."""
    confirm_seeds: int = 3
    """Longer trainings of each of them, with different seeds."""
    confirm_length: int = 2
    """Epochs of such a training, in multiples of a candidate's."""
    repetition: int = 0
    """Train the cells that a strategy and seed ask for with other weights than in repetition 0, to see the noise."""
    lookahead: int = 8
    """Trials that may be asked for before the oldest of them is told; at least the number of workers, better twice."""

    def __post_init__(self) -> None:
        require(self.trials >= 1, "trials must be at least 1", self.trials)
        require(self.fixed_point_seeds >= 1, "fixed-point-seeds must be at least 1", self.fixed_point_seeds)
        require(self.confirm >= 0, "confirm must not be negative", self.confirm)
        lengths = self.confirm_seeds, self.confirm_length
        require(min(lengths) >= 1, "confirm-seeds and confirm-length must be at least 1", lengths)
        names = ", ".join(get_args(StrategyName))
        module, colon, name = self.strategy.partition(":")
        own = bool(module and colon and name.isidentifier())
        rule = f"strategy must be one of {names}, or package.module:name of your own"
        require(own or self.strategy in get_args(StrategyName), rule, self.strategy)
        require(self.repetition >= 0, "repetition must not be negative", self.repetition)
        require(self.lookahead >= 1, "lookahead must be at least 1", self.lookahead)
