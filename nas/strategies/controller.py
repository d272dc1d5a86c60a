"""Controller: the policy, an LSTM that decides one token of a cell after the other.

It starts from a learned vector; afterwards its input is the embedding of the token that was decided last. Each kind of
decision (input, operation, aggregation) has its own embeddings and its own logits. Both are stacked into one table of
V choices, kind after kind, in which a decision sees only its own range: the rest has probability exactly 0.

Source: Nekrasov et al., WACV 2020 (2 layers of 100 units, uniform start). That tokens are fed back is our reading; the
ancestor's code feeds the LSTM its own output, which makes all decisions independent. `factorised` does that too.

Shapes: B sequences, D decisions, H units, V choices.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Generator, Tensor, nn

from cache.atomic import atomic_path
from nas.settings.seeding import stream
from nas.settings.strategy_config import ControllerConfig
from searchspace.space import Decision


class Controller(nn.Module):
    """A distribution over token strings: it can be sampled, and asked for log-probabilities with gradients.

    Args:
        decisions: kinds and numbers of choices, in the order of tokens.
        config: sizes of the LSTM and range of the initial parameters.
        seed: root seed; the parameters are drawn from its stream `controller`.
    """

    first: Tensor
    """First column, int64 (D,), of each decision: its token 0 in the table of choices."""
    barred: Tensor
    """Mask, bool (D, V), of the columns that are no choice of a decision."""

    def __init__(self, decisions: Sequence[Decision], config: ControllerConfig, seed: int) -> None:
        super().__init__()
        self.factorised = config.factorised
        starts, columns = {}, 0
        for kind in dict.fromkeys(decision.kind for decision in decisions):
            starts[kind] = columns
            columns += max(decision.choices for decision in decisions if decision.kind == kind)
        first = torch.tensor([starts[decision.kind] for decision in decisions])
        token = torch.arange(columns) - first[:, None]  # (D, V)
        choices = torch.tensor([[decision.choices] for decision in decisions])
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("barred", (token < 0) | (token >= choices), persistent=False)
        with torch.random.fork_rng(devices=[]):  # the modules draw initial values of their own, overwritten below
            self.start = nn.Parameter(torch.empty(config.hidden))
            self.embedding = nn.Embedding(columns, config.hidden)
            self.lstm = nn.LSTM(config.hidden, config.hidden, config.layers, batch_first=True)
            self.head = nn.Linear(config.hidden, columns)
        generator = Generator().manual_seed(stream(seed, "controller"))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -config.init_range, config.init_range, generator)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return log-probabilities of the choices of every decision, given the tokens before it.

        Args:
            tokens: int64 (B, D), each counted from 0 within its decision.

        Returns:
            float64 (B, D, V), -inf where a column is no choice of the decision. Double, because a cell's decisions sum
            to about -46, where float32 is good to 4e-6 only.
        """
        if self.factorised:
            outputs = self._own_outputs().expand(len(tokens), -1, -1)
        else:
            fed_back = self.embedding(self.first + tokens)[:, :-1]
            outputs, _ = self.lstm(torch.cat([self._start(len(tokens)), fed_back], dim=1))
        return self._log_probs(outputs, self.barred)

    def evaluate(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-probability and entropy in nats, both float64 (B,), of token strings (B, D).

        The entropy is summed over the decisions as they were met along `tokens`; its mean over sampled strings is the
        policy's.
        """
        choices = self(tokens)
        log_prob = choices.gather(-1, (self.first + tokens)[..., None]).sum(dim=(-2, -1))
        finite = choices.masked_fill(self.barred, 0)  # 0 log 0 = 0
        return log_prob, -(choices.exp() * finite).sum(dim=(-2, -1))

    def log_prob(self, tokens: Tensor) -> Tensor:
        """Return the log-probability, float64 (B,), of token strings (B, D)."""
        return self.evaluate(tokens)[0]

    @torch.no_grad()
    def sample(self, generator: Generator, count: int = 1) -> tuple[Tensor, Tensor]:
        """Draw token strings, int64 (count, D); also their log-probabilities, float64 (count,)."""
        tokens, log_prob = [], torch.zeros(count, dtype=torch.float64)
        value, state = self._start(count), None
        for first, barred in zip(self.first, self.barred, strict=True):
            output, state = self.lstm(value, state)
            choices = self._log_probs(output.squeeze(1), barred)  # (count, V)
            column = torch.multinomial(choices.exp(), 1, generator=generator)
            log_prob += choices.gather(-1, column).squeeze(-1)
            tokens.append(column - first)
            value = output if self.factorised else self.embedding(column)
        return torch.cat(tokens, dim=1), log_prob

    def export(self, directory: Path) -> None:
        """Write the parameters, a dictionary of plain tensors, to `controller.pt`."""
        with atomic_path(directory / "controller.pt") as temporary:
            torch.save(self.state_dict(), temporary)

    def _start(self, count: int) -> Tensor:
        return self.start.expand(count, 1, -1)

    def _own_outputs(self) -> Tensor:
        """Return the outputs (1, D, H) of the LSTM fed with its own output."""
        outputs, state = [self._start(1)], None
        for _ in self.first:
            output, state = self.lstm(outputs[-1], state)
            outputs.append(output)
        return torch.cat(outputs[1:], dim=1)

    def _log_probs(self, outputs: Tensor, barred: Tensor) -> Tensor:
        logits: Tensor = self.head(outputs).double()
        return logits.masked_fill(barred, -math.inf).log_softmax(dim=-1)
