"""Every setting of the strategies that ship with dyncell."""

from dataclasses import dataclass

from nas.settings.errors import require


@dataclass(frozen=True, kw_only=True)
class ControllerConfig:
    """Settings of the LSTM policy over tokens."""

    hidden: int = 100
    """Units of each of the LSTM's layers."""
    layers: int = 2
    """LSTM layers."""
    init_range: float = 0.1
    """Parameters start uniform in [-init_range, init_range]."""
    factorised: bool = False
    """Feed the LSTM its own output instead of the sampled token, as the ancestor's code does by accident."""

    def __post_init__(self) -> None:
        sizes = self.hidden, self.layers
        require(min(sizes) >= 1, "controller.hidden and controller.layers must be at least 1", sizes)
        require(self.init_range >= 0, "controller.init-range must not be negative", self.init_range)


@dataclass(frozen=True, kw_only=True)
class PPOConfig:
    """Settings of the policy update (Schulman et al. 2017, arXiv:1707.06347)."""

    clip: float = 0.2
    """Half-width of the trusted ratio interval [1 - clip, 1 + clip]."""
    learning_rate: float = 3e-3
    """Learning rate of Adam, constant."""
    baseline_decay: float = 0.95
    """Decay of the moving average of rewards that is the baseline of `ppo_plain`."""
    buffer: int = 32
    """Latest trials that an update goes through."""
    minibatch: int = 32
    """Trials an Adam step."""
    update_epochs: int = 1
    """Passes over the buffer at each update."""
    entropy: float = 0.0
    """Weight of the entropy bonus."""
    clip_norm: float = 2.0
    """Gradients longer than this are shortened to it."""

    def __post_init__(self) -> None:
        require(0 < self.clip < 1, "ppo.clip must lie in (0, 1)", self.clip)
        require(0 <= self.baseline_decay < 1, "ppo.baseline-decay must lie in [0, 1)", self.baseline_decay)
        require(self.learning_rate > 0, "ppo.learning-rate must be positive", self.learning_rate)
        require(self.entropy >= 0, "ppo.entropy must not be negative", self.entropy)
        require(self.clip_norm > 0, "ppo.clip-norm must be positive", self.clip_norm)
        sizes = self.buffer, self.minibatch, self.update_epochs
        require(min(sizes) >= 1, "ppo.buffer, minibatch and update-epochs must be at least 1", sizes)


@dataclass(frozen=True, kw_only=True)
class PredictorConfig:
    """Settings of what `ppo` learns from a predictor of rewards, fitted on the trials so far."""

    start: int = 8
    """Rewards before the predictor is fitted for the first time; then it is after each."""
    every: int = 4
    """Rewards between two updates of the policy."""
    samples: int = 32
    """Samples of the policy whose predicted rewards an update goes through, and as many that may be proposed."""
    mutants: int = 100
    """Mutants of the best cells that may be proposed, in each of four steps."""
    optimism: float = 0.5
    """Standard deviations of the prediction that are added to it when cells are compared for being proposed."""

    def __post_init__(self) -> None:
        require(self.start >= 2, "predictor.start must be at least 2", self.start)
        sizes = self.every, self.samples, self.mutants
        require(min(sizes) >= 1, "predictor.every, samples and mutants must be at least 1", sizes)


@dataclass(frozen=True, kw_only=True)
class EvolutionConfig:
    """Settings of regularised evolution (Real et al. 2019, arXiv:1802.01548)."""

    population: int = 10
    """Latest trials that may be parents; the first ones are drawn uniformly."""
    tournament: int = 5
    """Members drawn to compete for being the parent; the best reward wins."""

    def __post_init__(self) -> None:
        fits = 1 <= self.tournament <= self.population
        require(fits, "evolution.tournament must lie in [1, evolution.population]", self.tournament)
