"""What the search loop knows of a strategy: ask for a genotype, tell how it did.

A strategy is a pure function of its seed and of what it was told, in order. Replaying a log of trials through a fresh
strategy of the same seed therefore rebuilds it, which is how a run resumes.
"""

from typing import Protocol

from nas.runs.trial import Trial
from searchspace.genotype import Genotype


class Strategy(Protocol):
    """The search calls `ask` for trial n exactly once, and `tell` strictly in the order of the trials' numbers.

    `lookahead` trials may have been asked for and not yet told. Trials that failed are told too: a strategy must not
    learn a reward from them (they have none), but may need to know that they are over.
    """

    def ask(self) -> Genotype: ...

    def tell(self, trial: Trial) -> None: ...
