"""FailureGuard: the point at which failed trials stop being bad candidates and start being a bug."""

from collections import Counter, deque

from nas.runs.trial import Trial
from nas.settings.errors import RunError

FIRST = 5
RECENT = 20


class FailureGuard:
    """Counts the trials evaluated in this process; what an earlier process recorded is not held against it."""

    def __init__(self) -> None:
        self._first: list[str | None] = []
        self._recent: deque[str | None] = deque(maxlen=RECENT)

    def observe(self, trial: Trial) -> None:
        """Take note of an evaluated trial.

        Raises:
            RunError: the first five failed with one error, or more than half of the last twenty failed.
        """
        if len(self._first) < FIRST:
            self._first.append(trial.error)
        self._recent.append(trial.error)
        if len(self._first) == FIRST and len(set(self._first)) == 1 and self._first[0] is not None:
            raise RunError(
                f"the first {FIRST} trials all failed with one error, which is not the cells' fault: {trial.error}"
            )
        failures = Counter(error for error in self._recent if error is not None)
        if failures.total() > RECENT // 2:
            summary = "\n".join(f"  {count:3d} x {error}" for error, count in failures.most_common())
            raise RunError(f"{failures.total()} of the last {len(self._recent)} trials failed:\n{summary}")
