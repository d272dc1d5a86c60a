"""One line for each trial while a search runs, with the best so far and the time left."""

import logging
import time
from typing import Final

from nas.runs.ranking import reward_of
from nas.runs.trial import Trial

log = logging.getLogger(__name__)

SHARES: Final = {"relative_macs": "MACs", "relative_latency": "time"}


class Progress:
    """Reports trials as they are recorded; the time left comes from the pace of those evaluated in this process."""

    def __init__(self, total: int, recorded: list[Trial]) -> None:
        self._total = total
        self._done = len(recorded)
        self._evaluated = 0
        self._start = time.monotonic()
        self._best = max((t for t in recorded if t.ok), key=reward_of, default=None)
        if recorded:
            log.info("continuing after %d recorded trials", len(recorded))

    def record(self, trial: Trial) -> None:
        """Log one line about `trial`, which has just been written to the run's log."""
        self._done += 1
        self._evaluated += 1
        if trial.ok and (self._best is None or reward_of(trial) > reward_of(self._best)):
            self._best = trial
        best = f"best {reward_of(self._best):.4f} ({self._best.name})" if self._best else "none finished yet"
        pace = (time.monotonic() - self._start) / self._evaluated
        left = duration(pace * (self._total - self._done))
        log.info("%5s  %s  %s  [%d/%d, %s left]", trial.name, outcome(trial), best, self._done, self._total, left)


def duration(seconds: float) -> str:
    """Format seconds as a person says them: 45 s, 12 min, 3 h 05 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def outcome(trial: Trial) -> str:
    """Describe in a few words how a trial ended."""
    if trial.repeat_of is not None:
        return f"repeats #{trial.repeat_of}"
    if not trial.ok:
        return f"failed: {trial.error}"
    stopped = " (stopped half-way)" if trial.status == "early_stopped" else ""
    halves = " with half batches" if trial.batch_parts > 1 else ""
    shares = [(trial.cost[cost], words) for cost, words in SHARES.items() if cost in trial.cost]
    cost = "".join(f", {share:.2f} of per-frame {words}" for share, words in shares)
    return f"reward {trial.reward:.4f}{cost}{stopped}{halves} in {trial.seconds:.0f} s"
