"""Controller: the policy, an LSTM that decides one token of a cell after the other.

It starts from a learned vector; afterwards its input is the embedding of the token that was decided last. Each kind of
decision (input, operation, aggregation) has its own embeddings and its own logits. Both are stacked into one table of
V choices, kind after kind, in which a decision sees only its own range: the rest has probability exactly 0.

Source: Nekrasov et al., WACV 2020 (2 layers of 100 units, uniform start). Feeding the token back is what the paper's
reader expects; the ancestor's code feeds the LSTM its own output instead, which makes all decisions independent of
each other. `factorised` does that too.

Shapes: B sequences, D decisions, H units, V choices.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Generator, Tensor, nn

from nas.runs.config import ControllerConfig
from nas.runs.seeding import stream
from searchspace.space import Decision


class Controller(nn.Module):
    """A distribution over token strings that can be sampled, and asked for log-probabilities with gradients.

    Args:
        decisions: kinds and numbers of choices, in the order of tokens.
        config: sizes of the LSTM and range of the initial parameters.
        seed: root seed; the parameters are drawn from its stream `controller`.
    """

    def __init__(self, decisions: Sequence[Decision], config: ControllerConfig, seed: int) -> None:
        super().__init__()
        self.factorised = config.factorised
        widths = {d.kind: max(other.choices for other in decisions if other.kind == d.kind) for d in decisions}
        starts = {kind: sum(list(widths.values())[:place]) for place, kind in enumerate(widths)}
        first = torch.tensor([starts[decision.kind] for decision in decisions])  # (D,)
        choices = torch.tensor([decision.choices for decision in decisions])
        column = torch.arange(sum(widths.values())) - first[:, None]  # (D, V): as a token of this decision
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("barred", (column < 0) | (column >= choices[:, None]), persistent=False)
        self.first: Tensor
        self.barred: Tensor
        with torch.random.fork_rng(devices=[]):  # the modules draw initial values, which are overwritten below
            self.start = nn.Parameter(torch.empty(config.hidden))
            self.embedding = nn.Embedding(sum(widths.values()), config.hidden)
            self.lstm = nn.LSTM(config.hidden, config.hidden, config.layers, batch_first=True)
            self.head = nn.Linear(config.hidden, sum(widths.values()))
        generator = Generator().manual_seed(stream(seed, "controller"))
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.uniform_(-config.init_range, config.init_range, generator=generator)

    def forward(self, tokens: Tensor) -> Tensor:
        """Log-probabilities of the choices of every decision, given the tokens before it.

        Args:
            tokens: int64 (B, D), each counted from 0 within its decision.

        Returns:
            float64 (B, D, V), -inf where a choice is not the decision's. Double, so that the sum over a cell's
            decisions, about -46 at the start, is good to more than 1e-6.
        """
        with single_thread():
            if self.factorised:
                outputs = self._free_run().expand(len(tokens), -1, -1)
            else:
                inputs = torch.cat([self._start(len(tokens)), self.embedding(self.first + tokens)[:, :-1]], dim=1)
                outputs, _ = self.lstm(inputs)
            return self._log_probs(outputs, slice(None))

    def log_prob(self, tokens: Tensor) -> Tensor:
        """Log-probability, float64 (B,), of whole token strings (B, D)."""
        return self.log_prob_of(self(tokens), tokens)

    def log_prob_of(self, choices: Tensor, tokens: Tensor) -> Tensor:
        """Log-probability (B,) of `tokens` (B, D), from what `forward` gave for them."""
        return choices.gather(-1, (self.first + tokens)[..., None]).sum(dim=(-2, -1))

    @torch.no_grad()
    def sample(self, generator: Generator, count: int = 1) -> tuple[Tensor, Tensor]:
        """Draw token strings: tokens, int64 (count, D), and their log-probabilities, float64 (count,)."""
        tokens, log_prob, state = [], torch.zeros(count, dtype=torch.float64), None
        value = self._start(count)
        with single_thread():
            for place, first in enumerate(self.first):
                output, state = self.lstm(value, state)
                choices = self._log_probs(output, slice(place, place + 1)).squeeze(1)  # (count, V)
                column = torch.multinomial(choices.exp(), 1, generator=generator)  # (count, 1)
                log_prob += choices.gather(-1, column).squeeze(-1)
                tokens.append(column - first)
                value = output if self.factorised else self.embedding(column)
        return torch.cat(tokens, dim=1), log_prob

    def _start(self, count: int) -> Tensor:
        return self.start.expand(count, 1, -1)

    def _free_run(self) -> Tensor:
        """Outputs (1, D, H) of an LSTM that is fed its own output."""
        outputs, state = [self._start(1)], None
        for _ in self.first:
            output, state = self.lstm(outputs[-1], state)
            outputs.append(output)
        return torch.cat(outputs[1:], dim=1)

    def _log_probs(self, outputs: Tensor, places: slice) -> Tensor:
        """Log-probabilities (B, places, V) from LSTM outputs (B, places, H)."""
        logits: Tensor = self.head(outputs).double()
        return logits.masked_fill(self.barred[places], -math.inf).log_softmax(dim=-1)


def entropy_of(choices: Tensor) -> Tensor:
    """Entropy in nats (B,), summed over decisions, from log-probabilities (B, D, V) of which some are -inf.

    Of an LSTM that is fed its tokens this is the entropy along the given tokens, whose mean over sampled tokens is the
    policy's.
    """
    return -(choices.exp() * choices.masked_fill(choices == -math.inf, 0)).sum(dim=(-2, -1))


@contextmanager
def single_thread() -> Iterator[None]:
    """Let torch use one thread. Matrices this small gain nothing from more, and the number of threads, which differs
    between executors, would change the last digits of what a seed gives.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
